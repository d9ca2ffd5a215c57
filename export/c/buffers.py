"""Where each array lies in the one static buffer: arrays that are never needed at the same time share their place."""

from __future__ import annotations

from export.c.plan import Plan

_ALIGNMENT = 4  # elements: whole words for bytes, whole vectors of four for floats


def place(plan: Plan) -> tuple[dict[int, int], int]:
    """Return where each array starts, by its number, and the size of the buffer, both in elements.

    The input and the output belong to the caller. Larger arrays are placed first, each at the lowest free place.
    """
    born: dict[int, int] = {}
    dies: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for time, layer in enumerate(plan.layers):
        born[layer.target.number], sizes[layer.target.number] = time, layer.target.size
        for tensor in (layer.target, *layer.reads):
            dies[tensor.number] = time
    placed: dict[int, int] = {}
    for number in sorted(sizes.keys() - {plan.output.number}, key=lambda each: (-sizes[each], each)):
        start = 0
        others = (each for each in placed if born[each] <= dies[number] and born[number] <= dies[each])
        for other in sorted(others, key=placed.__getitem__):
            if start + sizes[number] <= placed[other]:
                break
            start = max(start, _aligned(placed[other] + sizes[other]))
        placed[number] = start
    return placed, max((_aligned(start + sizes[number]) for number, start in placed.items()), default=0)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
