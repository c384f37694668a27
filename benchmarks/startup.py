"""Seconds until `lightning --help` and `lightning fit --help` have answered.

    python benchmarks/startup.py

The second is compared, turn by turn, with importing Lightning's command line alone.
"""

import statistics
import subprocess
import sys
import time

IMPORT = [sys.executable, "-c", "import lightning.pytorch.cli"]
LIGHTNING = [sys.executable, "-m", "lightning_gans"]
ROUNDS = 7


def seconds(command: list[str]) -> float:
    """Wall time of ``command``."""
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    first = [seconds([*LIGHTNING, "--help"]) for _ in range(ROUNDS)]
    print(f"lightning --help: {statistics.median(first):.3f} s (median of {ROUNDS})")
    pairs = [(seconds([*LIGHTNING, "fit", "--help"]), seconds(IMPORT)) for _ in range(ROUNDS)]
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    print(
        f"lightning fit --help: {statistics.median(p[0] for p in pairs):.2f} s, "
        f"import lightning.pytorch.cli: {statistics.median(p[1] for p in pairs):.2f} s, "
        f"median ratio {ratio:.3f}"
    )
