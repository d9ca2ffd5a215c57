"""Every process that is measured, and how it is driven."""
