"""The trained weights that come with the package, and how each was trained and how well it performs."""
