"""MXNet in this environment: the wheel, the import hook, and scripts written without this project in mind."""
