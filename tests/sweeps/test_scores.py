"""What is read from run folders: the metric while it grows, its interval, several seeds."""

import json
import math

import pytest
from scipy import stats

from lightning_gans.errors import InputError
from lightning_gans.sweeps.scores import NeverLogged, Score, Watched, over_seeds

COLUMN = "modes/ring8_n64/captured"


@pytest.fixture
def run(tmp_path):
    rows = ["step,samples_seen,epoch,val/loss," + COLUMN]
    rows += ["0,64,0,1.5,", "1,128,0,,3", "2,192,1,0.5,7", "3,256,1,nan,5", "4,320,2,0.25"]
    (tmp_path / "metrics.csv").write_text("\n".join(rows))  # the last line is still being written
    records = [
        {"samples_seen": seen, "metrics": {"x/captured": {"value": v, "low": v - 1, "high": v + 1}}}
        for seen, v in ((128, 3.0), (192, 7.0 + 1e-11), (256, 4.0))
    ]
    text = "".join(json.dumps(record) + "\n" for record in records)
    (tmp_path / "modes.jsonl").write_text(text + '{"samples_seen": 320, "met')
    return tmp_path


@pytest.mark.parametrize("metric", [COLUMN, "captured", "modes/captured", "modes/ring8/captured"])
def test_best_and_last_have_their_place_and_interval(run, metric):
    best, last = (Watched(run, metric, "maximize", which) for which in ("best", "last"))
    assert best.look() and last.look() and not best.look()
    assert best.values == [(128, 3.0), (192, 7.0), (256, 5.0)]
    score = best.score()
    assert (score.value, score.samples_seen) == (7.0, 192)
    assert (score.low, score.high) == pytest.approx((6.0, 8.0))
    assert last.score() == Score(5.0, 256)  # modes.jsonl has another value there
    worst = Watched(run, metric, "minimize", "best")
    worst.look()
    assert worst.score() == Score(3.0, 128, 2.0, 4.0)


def test_the_exact_column_comes_before_one_that_is_like_it(tmp_path):
    (tmp_path / "metrics.csv").write_text(
        "step,samples_seen,quality/digits32_b/fd,quality/digits32/fd\n0,64,1.0,2.0\n"
    )
    exact = Watched(tmp_path, "quality/digits32/fd", "minimize", "best")
    exact.look()
    assert exact.score() == Score(2.0, 64)


def test_what_is_not_finite_or_not_whole_does_not_count(run):
    loss = Watched(run, "val/loss", "minimize", "last")
    loss.look()
    assert loss.score() == Score(0.5, 192)
    (run / "metrics.csv").write_text("step,samples_seen,val/loss\n0,64,nan\n")
    assert loss.look()
    with pytest.raises(InputError, match="never finite"):
        loss.score()


def test_a_metric_that_is_not_there_is_said_with_what_is(run):
    wrong = ("val/los", "'val/loss'"), ("capturd", "'captured'"), ("val/captured", "captured")
    for metric, near in wrong:
        watched = Watched(run, metric, "minimize", "best")
        watched.look()
        assert watched.values == []
        with pytest.raises(NeverLogged, match=f"{metric}' was never logged; .*{near}.*{COLUMN}"):
            watched.score()
    nothing = Watched(run / "nowhere", "a", "minimize", "best")
    assert not nothing.look()
    with pytest.raises(NeverLogged):
        nothing.score()


def test_several_seeds_give_mean_spread_and_students_interval():
    scores = [Score(value, seen) for value, seen in ((1.0, 10), (2.0, 20), (4.0, 60))]
    found = over_seeds(scores)
    assert found["values"] == [1.0, 2.0, 4.0] and found["samples_seen"] == 30
    assert found["value"] == pytest.approx(7 / 3)
    assert found["spread"] == pytest.approx(math.sqrt(7 / 3))
    low, high = stats.t.interval(0.95, 2, loc=7 / 3, scale=math.sqrt(7 / 3) / math.sqrt(3))
    assert (found["low"], found["high"]) == pytest.approx((low, high))
    alone = over_seeds([Score(1.0, 10, 0.5, 2.0)])
    assert (alone["spread"], alone["low"], alone["high"]) == (None, 0.5, 2.0)
