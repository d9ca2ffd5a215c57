"""Regression benchmarks over ``bench.measure``: ``pytest benchmarks``, with pytest-benchmark's own options."""
