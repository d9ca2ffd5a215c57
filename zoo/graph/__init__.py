"""Networks as graphs: their cost, and their lowering to faster graphs."""
