"""The run folder ``runs/<experiment>/<version>/``: its one reader and writer, without torch.

A run leaves behind, in its folder:

* ``config.yaml``: every setting; ``config_from_<batch>.yaml`` if it went on with others;
* ``metrics.csv``: one row a report, by ``step`` and ``samples_seen`` (`MetricsFile`);
* ``modes.jsonl``, ``quality.jsonl``, ``reconstructions.jsonl``: evaluations with ideal, interval
  and N (`Records`), their pictures in the folders of the same names;
* ``warnings.jsonl``: what the run warned of, and at how many samples (`Records`), if anything;
* ``run.json``: its sittings, from each start to its end (`Sittings`): command line, version,
  processes, times, outcome;
* ``times.tsv``: seconds of training up to each report (`Times`). What depends on the clock on the
  wall is in these two alone: all else is the same in a run and in its twin that was gone on with;
* ``samples/``, ``checkpoints/``, ``curves.png``, ``wandb/``.
"""

from lightning_gans.runs.account import Sittings, Times
from lightning_gans.runs.commit import commit
from lightning_gans.runs.files import finite, to_json
from lightning_gans.runs.folder import (
    MetricsFile,
    Records,
    RunOptions,
    claim,
    discard_unstarted,
    run_of,
    runs_of,
)
from lightning_gans.runs.goals import KNOWN_GOALS, badness, goal
from lightning_gans.runs.masking import masked

__all__ = [
    "KNOWN_GOALS",
    "MetricsFile",
    "Records",
    "RunOptions",
    "Sittings",
    "Times",
    "badness",
    "claim",
    "commit",
    "discard_unstarted",
    "finite",
    "goal",
    "masked",
    "run_of",
    "runs_of",
    "to_json",
]
