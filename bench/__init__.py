"""Throughput, latency, memory and epoch time of the zoo's models, each measured in a process of its own."""
