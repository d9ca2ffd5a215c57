"""Networks as plain C99, for programs and processors without any runtime."""
