"""Trained weights, which come with the package, and what is known of each: how it was trained, how good it is."""
