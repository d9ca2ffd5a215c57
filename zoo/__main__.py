"""The program ``python -m zoo``."""

import sys

from zoo.cli import main

if __name__ == "__main__":  # processes that pack images import this module too
    sys.exit(main())
