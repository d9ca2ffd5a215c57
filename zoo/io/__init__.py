"""Files that are whole or not there, files that are nobody else's, and dataclasses from JSON."""
