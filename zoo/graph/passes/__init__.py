"""Passes that change a graph without changing what it computes."""
