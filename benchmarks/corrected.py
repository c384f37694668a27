"""How often the corrected mode count's interval holds the truth, of planted samplers.

    PYTHONPATH=. python benchmarks/corrected.py

26,000 samples of triples of digits through classifiers that err, each known from 10,000 held-out
digits; 40 seeds for each law and kind of errors. The samplers are those of the tests.
"""

from statistics import mean

from lightning_gans.metrics.functional import corrected_count
from tests.metrics.test_corrected import LAWS, planted

SEEDS = 40

if __name__ == "__main__":
    print("| true modes | errors | held | raw count | corrected | ends of the interval |")
    print("|---|---|---|---|---|---|")
    for kind in (1, 50, 900, 1000, "zipf", "geometric", "tail"):
        for errors in LAWS:
            rows = []
            for seed in range(SEEDS):
                counts, confusion, modes = planted(kind, errors, seed)
                planted.cache_clear()
                rows.append((modes, int((counts > 0).sum()), corrected_count(counts, confusion)))
            held = sum(found.low <= modes <= found.high for modes, _, found in rows)
            raw, value, low, high = (
                mean(part) for part in zip(*((r, *f) for _, r, f in rows), strict=True)
            )
            print(
                f"| {kind} | {errors} | {held} of {SEEDS} | {raw:.0f} | {value:.0f} | "
                f"{low:.0f} to {high:.0f} |",
                flush=True,
            )
