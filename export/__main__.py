"""``python -m export``."""

import sys

from zoo.console import run_command

sys.exit(run_command("export.cli", "python -m export", "Write a trained model for other programs."))
