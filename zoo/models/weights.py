"""Read and write the parameters of networks, in MXNet's own ``.params`` format or in safetensors'.

Every array is checked against the network before anything reaches MXNet. Files written here load in
``net.load_parameters``, ``mx.model.load_checkpoint`` and ``mx.mod.Module``; files of ``net.save_parameters``,
``net.export`` and Module load here. So do ``.safetensors`` files with the same names, which is how parameters come from
other frameworks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from zoo.errors import WeightsError, ZooError
from zoo.graph.ir import INPUTS, symbol_of
from zoo.io import files
from zoo.models import params, safetensors
from zoo.runtime import mx


def state(net: mx.gluon.HybridBlock, inputs: Sequence[str] = INPUTS) -> dict[str, np.ndarray]:
    """Return the parameters of ``net`` by name, with the prefix ``arg:``, or ``aux:`` for running statistics.

    ``inputs`` names the arrays that ``net`` is called with.
    """
    # A forward pass in flight converts weights to oneDNN's layout in place, and waiting for the array alone does not
    # wait for that: of networks read right after their first pass, one in eight was garbled.
    mx.nd.waitall()
    parameters = net.collect_params()
    try:
        arrays = {name: parameter.list_data()[0].asnumpy() for name, parameter in parameters.items()}
    except RuntimeError:  # Gluon raises it for parameters without a shape or values
        raise ZooError("the network has no weights yet: initialize it and run it once") from None
    auxiliary = set(symbol_of(net, inputs).list_auxiliary_states())
    return {f"aux:{name}" if name in auxiliary else f"arg:{name}": array for name, array in arrays.items()}


def merge_statistics(net: mx.gluon.HybridBlock) -> None:
    """Set the running statistics on all contexts of ``net`` to their mean: each context saw a share of the data."""
    for parameter in net.collect_params().values():
        copies = parameter.list_data()
        if parameter.grad_req == "null" and len(copies) > 1:
            parameter.set_data(sum(copy.as_in_context(copies[0].ctx) for copy in copies) / len(copies))


def restore(net: mx.gluon.HybridBlock, arrays: dict[str, np.ndarray], origin: str = "these weights") -> None:
    """Load ``arrays`` into an initialized ``net``, all or none.

    Raises :class:`WeightsError` unless names, shapes and dtypes are those of the network.
    """
    parameters = net.collect_params()
    structural = {path: parameter.name for path, parameter in net._collect_params_with_prefix().items()}
    names = {name: name.split(":", 1)[-1] for name in arrays}
    if set(names.values()) == set(structural):  # as net.save_parameters writes them: "0.weight"
        names = {name: structural[path] for name, path in names.items()}
    given = {names[name]: value for name, value in arrays.items()}
    missing, foreign = sorted(set(parameters) - set(given)), sorted(set(given) - set(parameters))
    if missing or foreign:
        raise WeightsError(
            f"{origin} belong to another network: "
            + "; ".join(
                f"{label} {', '.join(names[:3])}{' …' if len(names) > 3 else ''}"
                for label, names in (("missing", missing), ("not part of this one", foreign))
                if names
            )
        )
    for name, parameter in parameters.items():
        expected = (tuple(parameter.shape), np.dtype(parameter.dtype))
        if expected != (given[name].shape, given[name].dtype):
            raise WeightsError(
                f"{origin} belong to another network: {name} is {given[name].dtype} {given[name].shape} "
                f"and should be {expected[1]} {expected[0]}"
            )
    for name, parameter in parameters.items():
        assign(parameter, given[name])


def assign(parameter: mx.gluon.Parameter, value: np.ndarray) -> None:
    """Set an initialized parameter, of either of MXNet's interfaces, to ``value``, whose dtype it has."""
    array = mx.nd.array(value, dtype=value.dtype)
    parameter.set_data(array.as_np_ndarray() if isinstance(parameter.list_data()[0], mx.np.ndarray) else array)


def save_parameters(net: mx.gluon.HybridBlock, path: Path) -> str:
    """Write the parameters of ``net`` to ``path`` atomically; returns the SHA-256 of the file.

    A name that ends in ``.safetensors`` chooses that format.
    """
    return save_state(state(net), path)


def save_state(arrays: dict[str, np.ndarray], path: Path) -> str:
    """Write what :func:`state` returned to ``path`` atomically; returns the SHA-256 of the file."""
    if Path(path).suffix == safetensors.SUFFIX:
        content = safetensors.encode({name.split(":", 1)[-1]: array for name, array in arrays.items()})
    else:
        content = params.encode(arrays)
    with files.atomic(path) as file:
        file.write(content)
    return files.hexdigest(content)


def load_parameters(net: mx.gluon.HybridBlock, path: Path, sha256: str | None = None) -> str:
    """Read the parameters of an initialized ``net`` from ``path``; returns the SHA-256 of the file.

    If ``sha256`` is given, a file with a different hash is refused before it is parsed.
    """
    content = files.read(path, WeightsError)
    digest = files.hexdigest(content)
    if sha256 not in (None, digest):
        raise WeightsError(f"{path} was changed or damaged: its SHA-256 is {digest} and should be {sha256}")
    arrays = _decode(content, path)
    check_finite(arrays, f"the weights in {path} cannot be used")
    restore(net, arrays, f"the weights in {path}")
    return digest


def read(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of the parameter file ``path``, whatever network they belong to."""
    return _decode(files.read(path, WeightsError), path)


def check_finite(arrays: Mapping[str, np.ndarray], refusal: str) -> None:
    """Raise :class:`WeightsError`, which begins with ``refusal`` and names the array, if a value is not finite."""
    for name, array in arrays.items():
        wrong = int((~np.isfinite(params.widened(array))).sum())
        if wrong:
            raise WeightsError(
                f"{refusal}: {name.split(':', 1)[-1]} holds values that are not finite ({wrong:,} of {array.size:,})"
            )


def parameter_hash(net: mx.gluon.HybridBlock) -> str:
    """Return the SHA-256 that a ``.params`` file of ``net`` would have: equal for bit-identical networks."""
    return files.hexdigest(params.encode(state(net)))


def _decode(content: bytes, path: Path) -> dict[str, np.ndarray]:
    if Path(path).suffix == safetensors.SUFFIX:
        return safetensors.decode(content, str(path))
    if content.startswith((b"PK\3\4", b"\x80\2")):
        raise WeightsError(
            f"{path} is a file of PyTorch or NumPy, not of MXNet: convert it to safetensors, in PyTorch by "
            "safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'weights.safetensors')"
        )
    return params.decode(content, str(path))
