"""The program ``python -m zoo``."""

import sys

from zoo.cli import main

if __name__ == "__main__":  # a process that packs images imports this, too
    sys.exit(main())
