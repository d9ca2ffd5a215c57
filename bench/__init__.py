"""Throughput, latency, memory and epoch time of the zoo's models, each measured in a process of its own."""

import zoo  # noqa: F401  so that MXNet works wherever it is imported from now on
