"""What MXNet's optimizers remember from one step to the next: arrays, and numbers that their Python code counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from zoo.runtime import mx


@dataclass(frozen=True)
class Counts:
    """The numbers; empty for an optimizer of this project, which counts nothing."""

    updates: tuple[int, ...] = ()  # of each parameter
    schedule: float = 1.0  # of Nadam's momentum: a product over all steps

    @classmethod
    def of(cls, optimizer: mx.optimizer.Optimizer | None) -> Counts:
        """Read the counts of ``optimizer``; None is one of this project."""
        if optimizer is None:
            return cls()
        indices = range(len(optimizer.param_dict))
        by_device = optimizer._all_index_update_counts.values()
        updates = tuple(max(counts.get(index, 0) for counts in by_device) for index in indices)
        return cls(updates, float(getattr(optimizer, "m_schedule", 1.0)))

    def give(self, optimizer: mx.optimizer.Optimizer | None, contexts: Sequence[mx.Context]) -> None:
        """Let ``optimizer``, which updates on one of the ``contexts`` or several, count on from here."""
        if optimizer is None or not self.updates:
            return
        devices = {0, *(context.device_id for context in contexts)}
        optimizer._all_index_update_counts = {device: dict(enumerate(self.updates)) for device in devices}
        optimizer._index_update_count = optimizer._all_index_update_counts[0]
        optimizer.num_update = max(self.updates)
        if hasattr(optimizer, "m_schedule"):
            optimizer.m_schedule = self.schedule


def arrays(updater: mx.optimizer.Updater, weights: Sequence[mx.nd.NDArray]) -> dict[str, mx.nd.NDArray]:
    """Return the arrays behind ``updater`` as "parameter/number", made now where the first step would make them.

    They are the ones that it uses: whoever writes into them changes its state.
    """
    for index, weight in enumerate(weights):
        if index not in updater.states:
            updater.states[index] = updater.optimizer.create_state_multi_precision(index, weight)
            updater.states_synced[index] = False  # a store of several contexts may update on another one
    return {
        f"{index}/{number}": array
        for index in range(len(weights))
        for number, array in enumerate(_flat(updater.states[index]))
    }


def _flat(state: object) -> Iterator[mx.nd.NDArray]:
    """Yield the arrays of a parameter's state, which is None, an array, or nested tuples of arrays."""
    if isinstance(state, mx.nd.NDArray):
        yield state
    elif isinstance(state, (tuple, list)):
        for part in state:
            yield from _flat(part)
