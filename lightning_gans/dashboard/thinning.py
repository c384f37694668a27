"""Long curves in few points, true to their extremes and to their means."""

from typing import Any

__all__ = ["thin"]


def thin(rows: list[int], values: list[float], points: int) -> dict[str, Any]:
    """At most so many points: the extremes and the mean of each stretch of a long curve.

    Extremes alone would show every spike, and lie: what is smoothed or averaged over runs needs the
    means, for of skewed values the extremes' middle is not theirs.

    Args:
        rows: The rows that have a value.
        values: The values.
        points: Most points, at least 10.

    Returns:
        ``at``, the rows that are kept, and ``y``, their values: all, or of each of points / 3
        stretches the least and the greatest, and the first and the last. In this case also
        ``means`` of ``at``, ``y`` and ``n``: the stretches' means, from the first row of the first
        to the last row of the last, so that they reach as far as the values; each is of ``n``.
    """
    n = len(values)
    if n <= points:
        return {"at": rows, "y": values}
    kept = {0, n - 1}
    stretches = max(2, points // 3 - 1)
    means: dict[str, Any] = {"at": [], "y": [], "n": n / stretches}
    for i in range(stretches):
        stretch = range(i * n // stretches, (i + 1) * n // stretches)
        kept |= {min(stretch, key=values.__getitem__), max(stretch, key=values.__getitem__)}
        means["at"].append(rows[stretch[round(i * (len(stretch) - 1) / (stretches - 1))]])
        means["y"].append(sum(values[k] for k in stretch) / len(stretch))
    kept = sorted(kept)
    return {"at": [rows[i] for i in kept], "y": [values[i] for i in kept], "means": means}
