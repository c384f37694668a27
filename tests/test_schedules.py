"""Who moves on which batch, as text: capitals move, small letters gather."""

import warnings

import pytest

from lightning_gans.errors import InputError
from lightning_gans.schedules import Accumulated, Alternating, Phased, Simultaneous
from lightning_gans.types import Clock
from tests.games import play


def as_text(schedule, batches: int, per_epoch: int = 1000) -> str:
    """One group a batch; the turns of a batch follow one another, + joins the players of one."""
    groups = []
    for batch in range(batches):
        clock = Clock(batch, batch // per_epoch, batch % per_epoch, per_epoch)
        window = schedule.window_at(clock)
        group = "".join("+".join(player[0].upper() for player in t) for t in schedule(clock))
        groups.append(group if window.filled == window.batches else group.lower())
    return " ".join(groups)


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (Alternating(), "DG DG DG DG DG DG DG DG"),
        (Alternating(2), "D DG D DG D DG D DG"),
        (Alternating(3), "D D DG D D DG D D"),
        (Alternating(5), "D D D D DG D D D"),
        (Alternating(3, repeats=2), "D D DGG D D DGG D D"),
        (Simultaneous(), "D+G D+G D+G D+G D+G D+G D+G D+G"),
        (Accumulated(1), "DG DG DG DG DG DG DG DG"),
        (Accumulated(1, "simultaneous"), "D+G D+G D+G D+G D+G D+G D+G D+G"),
        (Accumulated(4), "d d d DG d d d DG"),
        (Accumulated(4, "simultaneous"), "d+g d+g d+g D+G d+g d+g d+g D+G"),
        (Accumulated(3), "d d DG d d DG d d"),  # over the end of an epoch of four batches
        (Accumulated("epoch"), "d d d DG d d d DG"),
        (Phased(), "D D D D G G G G"),
        (Phased(window=2), "D D G G D D G G"),
        (Phased(2, 1, window=1), "D D G D D G D D"),
        (Phased(1, 2, window=2), "D D G G G G D D"),
        (Phased(1, 1, window=3), "D D D G G G D D"),
    ],
    ids=repr,
)
def test_turns(schedule, text):
    assert as_text(schedule, 8, per_epoch=4) == text


@pytest.mark.parametrize(
    ("schedule", "key"),
    [
        (lambda: Alternating(0), "ratio"),
        (lambda: Alternating(-1), "ratio"),
        (lambda: Alternating(repeats=0), "repeats"),
        (lambda: Accumulated(0), "window"),
        (lambda: Accumulated(-4), "window"),
        (lambda: Phased(window=0), "window"),
        (lambda: Phased(discriminator=0), "discriminator"),
        (lambda: Phased(generator=-1), "generator"),
    ],
)
def test_a_number_below_one_is_refused(schedule, key):
    with pytest.raises(InputError, match=rf"\w+\.{key} is .*at least 1"):
        schedule()


def test_words_that_mean_nothing_are_refused():
    """Called without the annotations' checks, as a user's Python does."""
    refused = ((Accumulated, {"window": "epcoh"}, "epoch"), (Phased, {"window": "all"}, "epoch"))
    for schedule, values, accepted in (*refused, (Accumulated, {"order": "both"}, "sequential or")):
        made = object.__new__(schedule)
        settings = {"window": 1, "order": "sequential", "discriminator": 1, "generator": 1} | values
        for name, value in settings.items():
            object.__setattr__(made, name, value)
        with pytest.raises(InputError, match=accepted):
            made.__post_init__()


@pytest.mark.parametrize(("batches", "warned"), [(19, False), (20, True), (21, True)])
@pytest.mark.parametrize("window", ["epoch", "batches"])
def test_phases_past_their_bound_are_warned_of(batches, warned, window):
    """K_G lr_G K_D lr_D must stay below 4: 3.61 and 4, with rates of 0.1."""
    schedule = Phased(window="epoch" if window == "epoch" else batches)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        play((1, 1), 30, per_epoch=batches, schedule=schedule, quiet=False)
    texts = [str(warning.message) for warning in caught]
    assert any("stability bound" in text and "below 4" in text for text in texts) == warned


def test_the_bound_counts_each_players_moves_and_rate():
    assert Phased(2, 3).bilinear_gain(10, 0.1, 0.2) == pytest.approx(2 * 10 * 0.1 * 3 * 10 * 0.2)
    assert Phased(2, 3, window=4).bilinear_gain(10, 0.1, 0.2) == pytest.approx(8 * 0.1 * 12 * 0.2)
