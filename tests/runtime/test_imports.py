"""``import mxnet`` in any order and on any NumPy, and what the import gives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from conftest import ROOT

from zoo.io import private
from zoo.runtime import compat, cpus, mx

USE = "print(mx.nd.ones((2, 3)).sum().asscalar(), mx.autograd.is_training(), mx.np.msort is not None)"
WORKS = "6.0 False True"
# As if this project were absent, even if the environment has the import hook.
WITHOUT_HOOK = "import sys; sys.meta_path[:] = [each for each in sys.meta_path if 'zoo' not in type(each).__module__]"


def python(code: str, *options: str, **environment: str) -> subprocess.CompletedProcess:
    """Run ``code`` in a fresh interpreter that finds this project's packages."""
    inherited = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    return subprocess.run(
        [sys.executable, *options, "-c", dedent(code)],
        cwd=ROOT, env={**inherited, **environment}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("first", ["zoo", "bench", "export", "zoo.data", "zoo.runtime", "zoo.errors"])
def test_mxnet_works_wherever_it_is_imported_after_the_zoo(first: str):
    done = python(f"import {first}, mxnet as mx; {USE}", "-W", "error")
    assert (done.stdout.strip(), done.stderr) == (WORKS, "")


def test_mxnet_imported_by_the_user_is_prepared_like_the_zoo_s_own():
    code = """
        import os, zoo, mxnet, zoo.runtime
        print(zoo.runtime.STATUS.threads, os.environ["OMP_NUM_THREADS"], zoo.runtime.mx is mxnet)
    """
    assert python(code).stdout.split() == [str(cpus.usable()), str(cpus.usable()), "True"]


def test_looking_for_mxnet_imports_and_prepares_nothing():
    code = """
        import importlib.util, sys, zoo
        print(importlib.util.find_spec("mxnet").name, {"mxnet", "numpy", "zoo.runtime.threads"} & set(sys.modules))
    """
    assert python(code).stdout == "mxnet set()\n"


@pytest.mark.skipif(np.__version__ < "1.24", reason="NumPy 1.23 has all that MXNet looks up")
def test_the_first_cell_of_a_notebook_run_twice():
    """MXNet alone fails to import and leaves half of a package behind."""
    code = f"""
        {WITHOUT_HOOK}
        try:
            import mxnet as mx
        except AttributeError as error:
            print("failed")
        import zoo
        import mxnet as mx
        from mxnet import autograd, gluon
        {USE}
        print(zoo.get_model("mlp", seed=0)(mx.nd.ones((1, 1, 28, 28))).shape)
    """
    done = python(code)
    assert done.stdout.splitlines() == ["failed", WORKS, "(1, 10)"], done.stderr
    assert "mxnet was imported before zoo" in done.stderr  # its number of threads can no longer be set


def test_mxnet_imported_before_the_zoo_works_and_is_said():
    """Somebody else has restored the names that NumPy dropped."""
    code = f"""
        import warnings
        {WITHOUT_HOOK}
        from zoo.runtime import compat, hook, startup
        hook.remove()
        compat.patch()
        with startup.quick():
            import mxnet as mx
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            from zoo.runtime import STATUS
        print(all("imported before zoo" in str(each.message) for each in caught), len(caught), STATUS.threads_from)
        mx.recordio.pack(mx.recordio.IRHeader(0, [1, 2], 3, 0), b"")
        {USE}
    """
    warned = 2 if cpus.flags() >= {"amx_tile", "amx_bf16", "avx512_bf16"} else 1  # about AMX too, if present
    said = f"True {warned} MXNet's own default: it was imported before zoo"
    assert python(code).stdout.splitlines() == [said, WORKS]


def test_packages_that_mxnet_rarely_needs_come_when_it_uses_them():
    code = """
        import gc, sys, zoo, mxnet as mx
        print({"requests", "cv2", "onnx", "scipy.stats", "distutils"} & set(sys.modules), gc.isenabled())
        print(mx.recordio.cv2.IMREAD_COLOR, mx.test_utils.requests.get.__name__)
        import cv2, onnx, requests
        print(cv2.__version__ == mx.image.image.cv2.__version__, bool(onnx.TensorProto))
    """
    assert python(code).stdout.splitlines() == ["set() True", "1 get", "True True"]


ALL_OPERATORS = """
    import hashlib, inspect, zoo, mxnet as mx
    nd, sym, found = mx.nd, mx.sym, hashlib.sha256()
    for place in (nd, nd.op, nd._internal, nd.contrib, nd.linalg, nd.sparse, nd.numpy._internal, nd.image, nd.random,
                  sym.op, sym._internal, sym.contrib, sym.numpy._internal, mx.contrib.ndarray, mx.contrib.symbol):
        for name, each in sorted(vars(place).items()):
            if inspect.isfunction(each):
                facts = name, each.__name__, each.__module__, each.__doc__, inspect.signature(each)
                found.update(repr(facts).encode())
    x = nd.array([[1, 2], [3, 4]])
    print(found.hexdigest(), nd.sum(x, axis=1).asnumpy(), nd.contrib.boolean_mask(x, nd.array([0, 1])).asnumpy(),
          nd.linalg.det(x).asscalar(), sym.sum(sym.var("data"), axis=0).list_arguments())
"""


def test_operators_from_the_cache_are_those_that_mxnet_makes(tmp_path: Path):
    """Names, signatures, docstrings and results, whatever happened to the cache."""
    own = {"XDG_CACHE_HOME": str(tmp_path)}
    made = python(ALL_OPERATORS, **own)
    (kept,) = (tmp_path / "mxnet-mnist-zoo/operators").iterdir()
    from_cache = python(ALL_OPERATORS, **own)
    assert made.returncode == 0 and (from_cache.stdout, from_cache.stderr) == (made.stdout, "")
    content = kept.read_bytes()
    for damaged in (b"", content[: len(content) // 2], content[:5000] + b"\xff" + content[5001:]):
        kept.write_bytes(damaged)
        assert python(ALL_OPERATORS, **own).stdout == made.stdout
        assert private.read(kept) is not None  # written anew
    kept.chmod(0o666)  # it is code that anybody could have put there
    assert python(ALL_OPERATORS, **own).stdout == made.stdout


def test_numpy_scalars_reach_operators_as_numbers():
    weight = mx.nd.ones(1)
    rates = {"lrs": [np.float64(0.5)], "wds": (np.float32(0),), "num_weights": np.int64(1)}
    mx.nd.multi_sgd_update(weight, mx.nd.ones(1), **rates, out=weight)
    assert weight.asscalar() == 0.5
    assert mx.sym.sum(mx.sym.var("x"), axis=(np.int64(0),)).list_attr()["axis"] == "(0,)"
    assert mx.sym.var("x", shape=(np.int64(3), 4)).attr("__shape__") == "(3, 4)"
    for value in ((1, [2.5], (3,)), [], (), [("a", None)], ((1, 2), (3, 4)), "text", None, True):
        assert compat.attribute_text(value) == str(value)
    assert compat.attribute_text((np.int64(1), [np.float64(2.5)], ((np.int32(3), 4),))) == "(1, [2.5], ((3, 4),))"


@pytest.mark.parametrize("label", [3.0, [1.0, 2.0], np.array([4.0])])
def test_records_are_packed_as_ever(label):
    header, content = mx.recordio.unpack(mx.recordio.pack(mx.recordio.IRHeader(0, label, 7, 0), b"abc"))
    assert np.array_equal(np.ravel(header.label), np.ravel(label)) and header.id == 7 and content == b"abc"


@pytest.mark.parametrize("ending", [".png", ".jpg", ".bmp"])
def test_pictures_are_packed_as_ever(ending: str):
    image = np.full((8, 8), 77, np.uint8)
    packed = mx.recordio.pack_img(mx.recordio.IRHeader(0, 5, 1, 0), image, quality=9, img_fmt=ending)
    header, found = mx.recordio.unpack_img(packed, iscolor=0)
    assert header.label == 5 and np.abs(found.astype(int) - image).max() <= (8 if ending == ".jpg" else 0)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_data_loaders_have_workers_and_take_any_transform():
    data = mx.gluon.data.ArrayDataset(np.arange(24, dtype=np.float32).reshape(12, 2), np.arange(12))
    loader = mx.gluon.data.DataLoader(data.transform_first(lambda pixels: pixels * 2), 4, num_workers=2)
    images, labels = (mx.nd.concat(*parts, dim=0).asnumpy() for parts in zip(*loader))
    assert images.sum() == 2 * sum(range(24)) and labels.tolist() == list(range(12))
