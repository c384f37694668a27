"""Which values of a metric are good, by its name."""

from collections.abc import Callable

__all__ = ["KNOWN_GOALS", "badness", "goal"]

_HIGHER = (
    *("precision", "recall", "score_", "vendi", "memorisation_penalty"),
    *("captured", "corrected", "high_quality", "least_served"),
)
_LOWER = (
    *("fd_", "kd_", "mifd_", "reverse_kl", "forward_kl", "js", "total_variation"),
    *("most_served", "ndb", "duplicates", "nll", "bits_per_dimension"),
)
_TOWARDS = {
    **{"density": 1.0, "coverage": 1.0, "c_t": 0.0, "spread": 1.0, "membership_auc": 0.5},
    # As likely as not a sample of the data's law is nearer to its neighbour than that to its own.
    "authentic": 0.5,
}
_WHOLE = {"fid": 1, "kid": 1, "mifid": 1, "is": -1, "loss": 1, "encoder_loss": 1, "decoder_loss": 1}
# Of two players whose losses pull against each other neither is better where its own is less: a
# discriminator's loss of 0 is a collapse. Of MS-SSIM no more and no less than the data's is good.

KNOWN_GOALS = (*_WHOLE, *_LOWER, *_HIGHER, *_TOWARDS)
"""What the names begin with of which it is known which values are good."""


def badness(metric: str, ideal: float | None = None) -> Callable[[float], float] | None:
    """What is least where a metric of this name is best; None for names that nothing is known of.

    Args:
        metric: May end in the rule or size it goes by, as high_quality_chi2.
        ideal: What a perfect sampler gets from as many samples, where that is known. A number that
            is best near another is best near this: coverage near 0.969, say, not 1.
    """
    name = metric.rsplit("/", 1)[-1]
    if name in _WHOLE:
        return lambda value: _WHOLE[name] * value
    if name in _TOWARDS:
        aim = _TOWARDS[name] if ideal is None else ideal
        return lambda value: abs(value - aim)
    if name.startswith(_LOWER):
        return lambda value: value
    return (lambda value: -value) if name.startswith(_HIGHER) else None


def goal(metric: str) -> str | float | None:
    """The same in a word: ``minimize``, ``maximize``, or the value to come near; None unknown."""
    if (bad := badness(metric)) is None:
        return None
    name = metric.rsplit("/", 1)[-1]
    return _TOWARDS.get(name, "minimize" if bad(1.0) > bad(0.0) else "maximize")
