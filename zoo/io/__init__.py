"""Atomic file writes, files private to the user, and dataclasses from JSON."""
