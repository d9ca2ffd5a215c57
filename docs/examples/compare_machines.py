"""Compare two result files of ``python -m bench --json``, for example of two machines.

    python compare_machines.py A.json B.json

Without names it measures twice here, with one thread and with two, and compares those.
"""

import os
import subprocess
import sys
from pathlib import Path

from bench import results
from bench.compare import rows, tables
from bench.compare.statistics import LEVEL, can_normalise

THRESHOLD = 0.10  # the smallest difference that counts, between two runs at two times


def measure(threads: int) -> Path:
    """A result file of this machine with so many threads."""
    path = Path(f"threads-{threads}.json")
    options = "--models mlp --phases infer --batch-sizes 200 --dtypes float32 --seconds 0.3 --ceilings skip".split()
    command = [sys.executable, "-m", "bench", *options, "--data", "synthetic", "--json", str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    return path


paths = [Path(name) for name in sys.argv[1:3]] or [measure(1), measure(2)]
a, b = map(results.load, paths)
pairs = {cell: (a.measured[cell], b.measured[cell]) for cell in a.measured if cell in b.measured}
compared = [rows.of_measurements(cell, *pair, THRESHOLD, LEVEL) for cell, pair in pairs.items()]
print(tables.of_files(compared, a, b, all(can_normalise(*pair) for pair in pairs.values()), THRESHOLD))
