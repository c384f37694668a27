"""What the page shows of a sweep: its trials, and which parameters matter."""

import math
from pathlib import Path
from typing import Any

from lightning_gans.runs.files import inside
from lightning_gans.runs.reading import read_json

__all__ = ["complete", "importance", "sweep", "sweeps"]

_FEWEST_FOR_A_FOREST = 20
_FEWEST = 5
_FOLDS = 5


def sweeps(root: Path) -> list[dict[str, Any]]:
    """A line on every sweep below ``root``, the one last touched first."""
    found = [
        {
            "name": file.parent.name,
            "touched": file.stat().st_mtime,
            "method": content.get("method"),
            "metric": content.get("metric"),
            "trials": len(content["trials"]),
        }
        for file in root.glob("sweeps/*/sweep.json")
        if (content := sweep(root, file.parent.name))
    ]
    return sorted(found, key=lambda line: -line["touched"])


def sweep(root: Path, name: str) -> dict[str, Any] | None:
    """All of one sweep but its secrets, its runs by the names of the page; None if it is unknown.

    With ``importance`` and how that was found.
    """
    if name in ("", ".", "..") or "/" in name:
        return None
    file = inside(root, f"sweeps/{name}/sweep.json")
    if file is None or not (content := read_json(file.parent, file.name)):
        return None
    trials = content.get("trials")
    content["trials"] = (
        [t for t in trials if isinstance(t, dict)] if isinstance(trials, list) else []
    )
    for trial in content["trials"]:
        trial["runs"] = [f"sweeps/{name}/{run}" for run in trial.get("runs") or []]
        trial["parameters"] = trial.get("parameters") or {}
    return content


def complete(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The trials of a sweep that have their value."""
    return [
        trial
        for trial in content["trials"]
        if trial.get("state") == "complete" and _is_number(trial.get("value"))
    ]


def importance(content: dict[str, Any]) -> dict[str, Any]:
    """How much each parameter matters to the objective.

    With 20 trials or more: a random forest learns the objective from four fifths of the trials;
    a parameter's importance is what shuffling its values adds to the squared error on the others
    (permutation importance, Breiman, 2001), over five folds together, as a share of the variance.
    With fewer: the strength of the rank correlation (Spearman, 1904), for choices the correlation
    ratio of ranks, both less what chance alone would give (epsilon squared, Kelley, 1935).

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

    # Ranks: a diverged trial's value would drown all others.
    target = rankdata([trial["value"] for trial in done])
    if not target.var():
        told = f"all {len(done)} complete trials have the same value: nothing matters to it"
        return {"method": told, "explained": None, "parameters": dict.fromkeys(varied, 0.0)}
    columns = {name: [trial["parameters"].get(name) for trial in done] for name in varied}
    if len(done) < _FEWEST_FOR_A_FOREST:
        return {
            "method": f"rank correlation with the objective, of {len(done)} complete trials "
            "(Spearman; correlation ratio for choices), less what chance alone would give",
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
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _are_numbers(column: list[Any]) -> bool:
    return all(value is None or _is_number(value) for value in column)


def _numbers(column: list[Any]):
    """Numbers' ranks, before them those that have none; or the places of choices."""
    import numpy as np
    from scipy.stats import rankdata

    if _are_numbers(column):
        return rankdata([-math.inf if value is None else value for value in column])
    return np.unique(list(map(str, column)), return_inverse=True)[1].astype(float)


def _association(column: list[Any], target) -> float:
    """Between 0 and 1: root of the share of variance that ranks, or choices, explain.

    It is corrected for what n trials give k coefficients by chance: 1 - (1 - R^2)(n - 1)/(n - k),
    which is epsilon squared for choices; trials without a number are a choice of their own.
    """
    import numpy as np

    places = _numbers(column)
    if _are_numbers(column):
        missing = np.array([value is None for value in column])
        terms = np.column_stack([~missing, missing, np.where(missing, 0, places)]).astype(float)
    else:
        terms = (places[:, None] == np.unique(places)).astype(float)
    n, k = len(target), np.linalg.matrix_rank(terms)
    if n <= k:
        return 0.0
    left = target - terms @ np.linalg.lstsq(terms, target)[0]
    share = 1 - left.var() / target.var() * (n - 1) / (n - k)
    return float(np.sqrt(max(share, 0.0)))


def _by_forest(inputs, target) -> tuple[float, list[float]]:
    """Explained variance of held-out trials, and what shuffling each input takes off it."""
    import numpy as np
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import KFold

    # Over all folds together: the variance within a fold of four trials says nothing.
    errors, added, n = 0.0, np.zeros(inputs.shape[1]), len(target)
    for learned, held_out in KFold(_FOLDS, shuffle=True, random_state=0).split(inputs):
        forest = RandomForestRegressor(50, random_state=0).fit(inputs[learned], target[learned])
        own, truth = inputs[held_out], target[held_out]
        errors += ((forest.predict(own) - truth) ** 2).sum()
        added += (
            len(truth)
            * permutation_importance(
                *(forest, own, truth), scoring="neg_mean_squared_error", n_repeats=5, random_state=0
            ).importances_mean
        )
    whole = n * target.var()
    return float(1 - errors / whole), np.maximum(added / whole, 0).tolist()
