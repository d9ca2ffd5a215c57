"""MXNet in this environment: the wheel, the import hook, and scripts that know nothing of this project."""
