"""The processes that are measured, and how they are driven."""
