"""The program within the C file, for trying it: images from standard input, classes and outputs to standard output."""

from __future__ import annotations

from export.c.plan import Plan

_MAIN = """\
#ifdef @NAME@_MAIN /* a program that reads images of 8 bits a pixel: raw bytes, IDX, or one PGM (P5) */
#include <stdio.h>

static int pgm_number(void)
{
    int c = getchar(), value = 0;
    while (c == '#' || c == ' ' || c == '\\t' || c == '\\r' || c == '\\n') {
        while (c == '#' && (c = getchar()) != '\\n' && c != EOF) {
            c = '#';
        }
        c = getchar();
    }
    for (; c >= '0' && c <= '9' && value < 100000; c = getchar()) {
        value = value * 10 + c - '0';
    }
    return value;
}

int main(void)
{
    static unsigned char bytes[@NAME@_INPUT + 16];
    static @KIND@ input[@NAME@_INPUT];
    static float output[@NAME@_OUTPUT];
    size_t have = fread(bytes, 1, 2, stdin);
    int images = 0;
    if (have == 2 && bytes[0] == 'P' && bytes[1] == '5') {
        const int width = pgm_number(), height = pgm_number(), most = pgm_number();
        if (width * height != @NAME@_INPUT || most != 255) {
            fputs("error: this PGM has another size or depth\\n", stderr);
            return 1;
        }
        have = 0;
    } else {
        have += fread(bytes + 2, 1, 2, stdin);
        if (have == 4 && bytes[0] == 0 && bytes[1] == 0 && bytes[2] == 8 && bytes[3] == 3) {
            have = fread(bytes, 1, 12, stdin) - 12; /* IDX: the number of images, rows and columns */
        }
    }
    while ((have += fread(bytes + have, 1, @NAME@_INPUT - have, stdin)) == @NAME@_INPUT) {
        int best = 0;
        for (int i = 0; i < @NAME@_INPUT; i++) {
            input[i] = @VALUE@;
        }
        @RUN@_run(input, output);
        for (int i = 1; i < @NAME@_OUTPUT; i++) {
            best = output[i] > output[best] ? i : best;
        }
        printf("%d", best);
        for (int i = 0; i < @NAME@_OUTPUT; i++) {
            printf(" %g", (double)output[i]);
        }
        putchar('\\n');
        images++;
        have = 0;
    }
    if (have || !images) {
        fputs("error: the input ends before an image does\\n", stderr);
        return 1;
    }
    return 0;
}
#endif"""


def main(prefix: str, plan: Plan) -> str:
    """Return the program for the function of ``plan``."""
    kind, value = ("uint8_t", "bytes[i]") if plan.uint8 else ("float", "(float)bytes[i] * (1.0f / 255.0f)")
    text = _MAIN.replace("@NAME@", prefix.upper()).replace("@RUN@", prefix)
    return text.replace("@KIND@", kind).replace("@VALUE@", value)
