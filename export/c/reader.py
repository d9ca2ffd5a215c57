"""The program within the C file, for trying it: images from standard input, classes and outputs to standard output."""

from __future__ import annotations

from export.c.plan import Plan

_MAIN = """\
#ifdef @NAME@_MAIN /* a program that reads images of 8 bits a pixel: raw bytes, IDX, or one PGM (P5) */
#include <stdio.h>

static int failed(const char *reason)
{
    fprintf(stderr, "error: %s\\n", reason);
    return 1;
}

static unsigned long idx_number(const unsigned char *bytes)
{
    return (unsigned long)bytes[0] << 24 | (unsigned long)bytes[1] << 16 | (unsigned long)bytes[2] << 8 | bytes[3];
}

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
    const int headed = @NAME@_INPUT >= 4; /* smaller images come as raw bytes */
    size_t have = headed ? fread(bytes, 1, 2, stdin) : 0;
    unsigned long images = 0, announced = 0;
    int is_idx = 0;
    if (have == 2 && bytes[0] == 'P' && bytes[1] == '5') {
        const int width = pgm_number(), height = pgm_number(), most = pgm_number();
        if ((double)width * (double)height != @NAME@_INPUT || most != 255) {
            return failed("this PGM has another size or depth");
        }
        have = 0;
    } else if (have == 2 && ((bytes[0] == 0x1f && bytes[1] == 0x8b) || (bytes[0] == 'P' && bytes[1] == '2'))) {
        return failed("the input is compressed, or a PGM in text: this reads raw bytes, IDX, and PGM (P5)");
    } else if (headed) {
        have += fread(bytes + 2, 1, 2, stdin);
        if (have == 4 && !bytes[0] && !bytes[1] && bytes[2] >= 8 && bytes[2] <= 14 && bytes[3] >= 1 && bytes[3] <= 4) {
            is_idx = bytes[2] == 8 && bytes[3] == 3;
            if (!is_idx || fread(bytes, 1, 12, stdin) < 12) {
                return failed("this IDX file holds no images of 8 bits a pixel, or ends before they begin");
            }
            announced = idx_number(bytes);
            if ((double)idx_number(bytes + 4) * (double)idx_number(bytes + 8) != @NAME@_INPUT) {
                return failed("the images of this IDX file have another size");
            }
            have = 0;
        }
    }
    while ((!is_idx || images < announced)
           && (have += fread(bytes + have, 1, @NAME@_INPUT - have, stdin)) == @NAME@_INPUT) {
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
    if (fflush(stdout) || ferror(stdout)) {
        return failed("the output cannot be written");
    }
    if (have || (is_idx ? images < announced : !images)) {
        return failed("the input ends before an image does");
    }
    return 0;
}
#endif"""


def main(prefix: str, plan: Plan) -> str:
    """Return the program for the function of ``plan``."""
    kind, value = ("uint8_t", "bytes[i]") if plan.uint8 else ("float", "(float)bytes[i] * (1.0f / 255.0f)")
    text = _MAIN.replace("@NAME@", prefix.upper()).replace("@RUN@", prefix)
    return text.replace("@KIND@", kind).replace("@VALUE@", value)
