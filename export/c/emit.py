"""The C file and its header."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from export.c import buffers, functions, kernels, reader
from export.c.arithmetic import FLOAT32, Arithmetic, Code
from export.c.plan import Function, Layer, Plan, Shape, Tensor
from export.c.text import block, constants, identifier
from zoo import __version__


@dataclass(frozen=True)
class Source:
    """The text of both files, and the memory that they need."""

    name: str  # the C identifier that files, functions and macros begin with
    code: str
    header: str
    weights: int  # bytes of constants
    memory: int  # bytes of the static buffer


# GCC 12 at -O3 carries addresses from one function into the other, and then compiles some poolings wrongly.
_LAYER = (
    "#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 8",
    "#define LAYER __attribute__((noipa)) static",
    "#else",
    "#define LAYER static",
    "#endif",
)


def emit(plan: Plan, name: str, title: str, arithmetic: Arithmetic = FLOAT32) -> Source:
    """Write ``plan`` as C; ``name`` is that of the network, and ``title`` says in one line what it is."""
    prefix = identifier(name) or "network"
    prefix = f"network_{prefix}" if prefix[0].isdigit() else prefix
    places, size = buffers.place(plan)
    bodies = [
        kernels.code(layer, f"layer{number}_{identifier(layer.name.replace('_fwd', ''))}".rstrip("_"), arithmetic)
        for number, layer in enumerate(plan.layers, start=1)
    ]
    tables = {key: value for body in bodies for key, value in body.constants.items()}
    weights, memory = sum(value.nbytes for value in tables.values()), size * arithmetic.bytes
    kind = "uint8_t" if plan.uint8 else "float"
    signature = f"void {prefix}_run(const {kind} *input, float *output)"

    def pointer(tensor: Tensor) -> str:
        own = {plan.input.number: "input", plan.output.number: "output"}
        return own.get(tensor.number) or f"buffer + {places[tensor.number]}"

    functions_of = [_function(layer, body, plan, arithmetic.data) for layer, body in zip(plan.layers, bodies)]
    shared: dict[str, Code] = {}  # by its text: layers that do the same share a function
    chosen = [
        shared.setdefault("\n".join(lines).replace(body.prefix, ""), body) for lines, body in zip(functions_of, bodies)
    ]
    calls = [
        f"{body.prefix}({', '.join(map(pointer, (*layer.reads, layer.target)))});"
        for body, layer in zip(chosen, plan.layers)
    ]
    called = "\n".join(line for body in bodies for line in body.lines)
    helpers = [text for helper, text in arithmetic.helpers.items() if f"{helper}(" in called]
    about = _about(plan, prefix, title, weights, memory)
    parts = [
        [
            *about,
            f'#include "{prefix}.h"',
            "#include <math.h>",
            "#ifdef __cplusplus",
            "#define restrict __restrict",
            "#endif",
            "",
            *_LAYER,
        ],
        *(definition.splitlines() for definition in (*functions.definitions(called), *helpers)),
        *([[f"static {arithmetic.data} buffer[{size}];"]] if size else []),
        *(lines for lines, body, own in zip(functions_of, chosen, bodies) if body is own),
        [signature, *block("", calls)],
        reader.main(prefix, plan).splitlines(),
    ]
    code = "\n\n".join("\n".join(lines) for lines in parts) + "\n"
    return Source(prefix, code, _header(plan, prefix, signature, about), weights, memory)


def _function(layer: Layer, body: Code, plan: Plan, data: str) -> list[str]:
    """Return the constants and the function of one layer."""
    names = [f"in{number}" for number in range(len(layer.sources))]
    names += [f"with{number}" for number in range(len(layer.reads) - len(names))]
    kinds = ["uint8_t" if plan.uint8 and each.number == plan.input.number else data for each in layer.reads]
    result = "float" if layer.target.number == plan.output.number else data
    parameters = [f"const {kind} *restrict {name}" for kind, name in zip(kinds, names)]
    shapes = ", ".join(_dimensions(each.stored) for each in layer.sources)
    steps = ", ".join(step.kind if isinstance(step, Function) else type(step).__name__ for step in layer.steps)
    return [
        *(line for name, values in body.constants.items() for line in constants(name, values)),
        f"/* {type(layer).__name__}{f', {steps}' if steps else ''}: {shapes} -> {_dimensions(layer.target.stored)} */",
        f"LAYER void {body.prefix}({', '.join(parameters)}, {result} *restrict out)",
        *block("", body.lines),
    ]


def _about(plan: Plan, prefix: str, title: str, weights: int, memory: int) -> list[str]:
    pixels = "pixels from 0 to 255" if plan.uint8 else "float values"
    return [
        f"/* {title}",
        " *",
        f" * input: {_dimensions(plan.input.shape)} {pixels}, in this order of dimensions",
        f" * output: {_dimensions(plan.output.shape)} float values",
        f" * weights: {weights:,} bytes, which may be in flash; buffer: {memory:,} bytes of static memory",
        " *",
        f" * C99, without allocation. {prefix}_run has one buffer: two calls must not run at the same time.",
        f" * Written by mxnet-mnist-zoo {__version__}.",
        " */",
    ]


def _dimensions(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def _header(plan: Plan, prefix: str, signature: str, about: list[str]) -> str:
    upper = prefix.upper()
    lines = [
        *about,
        f"#ifndef {upper}_H", f"#define {upper}_H", "",
        "#include <stdint.h>", "",
        f"#define {upper}_INPUT {prod(plan.input.shape)}",
        f"#define {upper}_OUTPUT {prod(plan.output.shape)}", "",
        "#ifdef __cplusplus", 'extern "C" {', "#endif", "",
        f"/* Compute the output of one item from {upper}_INPUT values to {upper}_OUTPUT values. */",
        f"{signature};", "",
        "#ifdef __cplusplus", "}", "#endif", "",
        "#endif",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
