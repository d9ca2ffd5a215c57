"""Networks as graphs: what they cost, and the same computed faster."""
