"""What the page shows of a sweep: its trials, and which parameters matter."""

from pathlib import Path
from typing import Any

from lightning_gans.runs.reading import read_json

__all__ = ["complete", "importance", "sweep", "sweeps"]

_FEWEST_FOR_A_FOREST = 20
_FEWEST = 5
_FOLDS = 5


def sweeps(root: Path) -> list[dict[str, Any]]:
    """A line on every sweep below ``root``, the one last touched first."""
    files = sorted(root.glob("sweeps/*/sweep.json"), key=lambda file: -file.stat().st_mtime)
    return [
        {
            "name": file.parent.name,
            "touched": file.stat().st_mtime,
            "method": content.get("method"),
            "metric": content.get("metric"),
            "trials": len(content.get("trials", [])),
        }
        for file in files
        if not file.is_symlink() and (content := read_json(file))
    ]


def sweep(root: Path, name: str) -> dict[str, Any] | None:
    """All of one sweep but its secrets, its runs by the names of the page; None if it is unknown.

    With ``importance`` and how that was found.
    """
    file = root / "sweeps" / name / "sweep.json"
    if name in ("", ".", "..") or "/" in name or file.is_symlink():
        return None
    if not (content := read_json(file)):
        return None
    for trial in content.get("trials", []):
        trial["runs"] = [f"sweeps/{name}/{run}" for run in trial.get("runs", [])]
    return content


def complete(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The trials of a sweep that have their value."""
    return [
        trial
        for trial in content.get("trials", [])
        if trial.get("state") == "complete" and isinstance(trial.get("value"), int | float)
    ]


def importance(content: dict[str, Any]) -> dict[str, Any]:
    """How much each parameter matters to the objective.

    With 20 trials or more: a random forest learns the objective from four fifths of the trials;
    a parameter's importance is what shuffling its values takes off the explained variance
    of the others (permutation importance, Breiman, 2001), averaged over five folds. With fewer:
    the strength of the rank correlation (Spearman, 1904), for choices the correlation ratio of
    ranks, square root of eta squared.

    Returns:
        ``method`` in words, ``explained`` variance of trials that were not learned from (None
        without a forest), ``parameters``: name to importance; none if there are too few trials.
    """
    done = complete(content)
    varied = [
        name
        for name in sorted({key for trial in done for key in trial["parameters"]})
        if len({str(trial["parameters"].get(name)) for trial in done}) > 1
    ]
    if len(done) < _FEWEST or not varied:
        told = f"it takes {_FEWEST} complete trials that differ to tell; there are {len(done)}"
        return {"method": told, "explained": None, "parameters": {}}
    import numpy as np
    from scipy.stats import rankdata

    values = np.array([trial["value"] for trial in done], float)
    # Ranks: a diverged trial's value would drown all others.
    target = rankdata(values)
    columns = {name: [trial["parameters"].get(name) for trial in done] for name in varied}
    if len(done) < _FEWEST_FOR_A_FOREST:
        return {
            "method": f"rank correlation with the objective, of {len(done)} complete trials "
            "(Spearman; correlation ratio for choices)",
            "explained": None,
            "parameters": {name: _association(column, target) for name, column in columns.items()},
        }
    explained, found = _by_forest(np.column_stack([_numbers(c) for c in columns.values()]), target)
    return {
        "method": f"permutation importance in a random forest on the objective's ranks, "
        f"of trials held out in {_FOLDS} folds ({len(done)} complete trials)",
        "explained": explained,
        "parameters": dict(zip(varied, found, strict=True)),
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(column: list[Any]):
    """Numbers' ranks, or the places of choices."""
    import numpy as np
    from scipy.stats import rankdata

    if all(map(_is_number, column)):
        return rankdata(column)
    order = sorted(set(map(str, column)))
    return np.array([order.index(str(value)) for value in column], float)


def _association(column: list[Any], target) -> float:
    """Between 0 and 1: of numbers |rho|, of choices the root of the share that groups explain."""
    import numpy as np

    if all(map(_is_number, column)):
        return abs(float(np.corrcoef(_numbers(column), target)[0, 1]))
    kinds = _numbers(column)
    means = np.array([target[kinds == kind].mean() for kind in kinds])
    return float(np.sqrt(means.var() / target.var())) if target.var() else 0.0


def _by_forest(inputs, target) -> tuple[float, list[float]]:
    """Explained variance of held-out trials, and what shuffling each input takes off it."""
    import numpy as np
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import KFold

    scores, drops = [], []
    for learned, held_out in KFold(_FOLDS, shuffle=True, random_state=0).split(inputs):
        forest = RandomForestRegressor(50, random_state=0).fit(inputs[learned], target[learned])
        scores.append(forest.score(inputs[held_out], target[held_out]))
        drops.append(
            permutation_importance(
                forest, inputs[held_out], target[held_out], n_repeats=5, random_state=0
            ).importances_mean
        )
    return float(np.mean(scores)), np.maximum(np.mean(drops, 0), 0).tolist()
