"""How many modes there are behind the errors of the classifier that tells them.

A classifier that errs in 1 % of digits finds some 480 modes of stacked MNIST in samples of 50. This
counts again, with an interval, from the classifier's confusion on held-out images.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from lightning_gans.errors import InputError

__all__ = [
    "Confusion",
    "Corrected",
    "check_counted",
    "corrected_count",
    "leakage",
    "plausible",
]

Confusion = Int64[Tensor, "C C"]
Rates = Float64[Tensor, "draws C C"]
Counted = Int64[Tensor, "*modes"]
Spread = Float64[Tensor, "draws *modes"]

_LEVEL = 0.025
_BELIEVED = 0.95
_DRAWS = 200


class Corrected(NamedTuple):
    """Modes among the samples, without those seen by the classifier's errors alone.

    Attributes:
        value: The estimate, a posterior median.
        low: Modes that errors cannot explain, at a joint level of 97.5 %.
        high: At a level of 97.5 %; never more than were seen.
    """

    value: float
    low: int
    high: int


def _evenness(counts: Tensor, expected: Tensor) -> Tensor:
    """The shape of the gamma law of rates under which Poisson counts are the most likely."""
    shape = torch.logspace(-2, 2, 100, dtype=torch.float64)[:, None]
    likelihood = torch.lgamma(shape + counts) - torch.lgamma(shape)
    likelihood += shape * (shape / (shape + expected)).log()
    likelihood += counts * (expected / (shape + expected)).log()
    return shape[likelihood.sum(1).argmax(), 0]


def plausible(confusion: Confusion, draws: int, generator: torch.Generator) -> Rates:
    """Error rates that the held-out images allow: gamma posteriors (Robbins, 1956).

    All errors share a gamma prior, its mean and shape being found from their counts, so that a pair
    of classes never confused among few images is not taken for one that never will be.

    Args:
        confusion: Counts [true, told].
        draws: Of the posterior.
        generator: Random numbers.

    Returns:
        Probabilities [draw, true, told]; the first is the posterior's mean.
    """
    from scipy.special import gammaincinv

    counts, seen = confusion.double(), confusion.double().sum(1, keepdim=True)
    wrong = ~torch.eye(len(confusion), dtype=torch.bool)
    # One error more than were seen: none among many is not none at all.
    mean = (counts[wrong].sum() + 1) / seen.expand_as(counts)[wrong].sum()
    prior = _evenness(counts[wrong], (mean * seen).expand_as(counts)[wrong])
    shape = torch.where(wrong, counts + prior, counts)
    size = torch.where(wrong, seen + prior / mean, seen)
    places = torch.rand(draws, *shape.shape, generator=generator, dtype=torch.float64)
    drawn = torch.from_numpy(gammaincinv(shape.numpy(), places.numpy()))
    # A class that is never told rightly has the shape 0, which is a rate of 0.
    rates = torch.cat([shape[None], drawn.nan_to_num(0.0)]) / size
    return rates / rates.sum(2, keepdim=True)


def leakage(true: Float64[Tensor, "#draws *modes"], rates: Rates) -> tuple[Spread, Spread]:
    """Samples each mode is told by mistake, and the share of its own that is told rightly.

    Modes are tuples of classes, each class told on its own: no matrix of modes by modes is made.

    Args:
        true: Samples of each mode (draws or 1, C, C ...).
        rates: Probabilities [draw, true, told].
    """
    modes = true.ndim - 1
    told, kept = true, torch.ones((), dtype=torch.float64)
    right = rates.diagonal(dim1=1, dim2=2)
    for place in range(modes):
        # The first class goes to the end, where it is told; after all of them it is first again.
        told = torch.einsum("na...,nab->n...b", told.expand(len(rates), *true.shape[1:]), rates)
        kept = kept * right.reshape(len(rates), *[1] * place, -1, *[1] * (modes - 1 - place))
    return (told - true * kept).clamp(min=0), kept


def _true(counts: Tensor, rates: Rates) -> Spread:
    """Samples of each mode (1, C, C ...) from those told, less what leaks into it."""
    leak, kept = leakage(counts[None], rates)
    for _ in range(20):
        true = (counts - leak).clamp(min=0) / kept.clamp(min=1e-9)
        # Never more than there are: a mode that is never told rightly has no bound of its own.
        true = true * (counts.sum() / true.sum()).clamp(max=1)
        leak, _ = leakage(true, rates)
    return true


def check_counted(counts: Tensor, confusion: Tensor) -> None:
    """Refuse counts that a confusion says nothing of.

    Raises:
        InputError: The shapes disagree, or a class is missing from the confusion.
    """
    classes = len(confusion)
    if counts.shape != (classes,) * counts.ndim:
        raise InputError(
            f"the counts have the shape {tuple(counts.shape)}; with a confusion of {classes} "
            f"classes each dimension must be {classes}"
        )
    if missing := (confusion.sum(1) == 0).nonzero().flatten().tolist():
        raise InputError(f"the confusion has no held-out sample of the classes {missing}")


def corrected_count(counts: Counted, confusion: Confusion, seed: int = 0) -> Corrected:
    """Modes among the samples behind a classifier's errors, with a 95 % interval (our own).

    1. Error rates are drawn from what the held-out images allow, and from them how many samples
       leak into each mode: a mean and a variance.
    2. ``low``: modes with more samples than a negative binomial of these would give one mode in K
       at a level of 2.5 % (Bonferroni).
    3. Of the others, a mode is seen if it is served or leaked into. The share that is served, and
       a factor common to all errors, get the likelihood of which modes were seen; what follows for
       the seen ones gives ``value`` and ``high``.

    It assumes that held-out and generated images are misread alike, that the classes of a tuple are
    misread independently, and that rarely served modes do not lie beside frequent ones more than
    elsewhere. Those that do are taken for errors: ``high`` is then too low. A classifier with an
    accuracy below 95 % is believed only by half: a variance of the mean squared is added.

    Args:
        counts: Samples told of each mode, (C,) for classes, (C, C, C) for triples.
        confusion: Held-out counts [true, told].
        seed: Of an own random generator.

    Raises:
        InputError: The shapes disagree, or a class is missing from the confusion.
    """
    from scipy.stats import nbinom

    check_counted(counts, confusion)
    source = torch.Generator().manual_seed(seed)
    rates = plausible(confusion, _DRAWS, source)
    leaks, _ = leakage(_true(counts.double(), rates[:1]), rates[1:])
    counts, leaks = counts.flatten(), leaks.flatten(1)
    doubt = float(confusion.trace() / confusion.sum() < _BELIEVED)
    shape, chance = _negative_binomial(leaks, doubt)
    bound = torch.from_numpy(nbinom.isf(_LEVEL / len(counts), shape.numpy(), chance.numpy()))
    seen, certain = counts > 0, counts > bound
    low = int(certain.sum())
    if low == int(seen.sum()):
        return Corrected(low, low, low)
    # Frequent modes left out by one bound for all: by their own, served modes would be missing
    # among the others just where few errors go, which is where they can be told from errors.
    others = counts <= bound.max()
    served = _served(leaks[:, others], seen[others], certain[others], doubt, source)
    served += int((~others).sum())
    high = torch.quantile(served, 1 - _LEVEL, interpolation="higher")
    return Corrected(served.median().item(), low, int(high))


def _negative_binomial(leaks: Tensor, doubt: float) -> tuple[Tensor, Tensor]:
    """Shape and chance (K,) of the counts that leak, from draws (draws, K) of their means."""
    tiny = torch.finfo(leaks.dtype).tiny
    mean = leaks.mean(0).clamp(min=tiny**0.25)
    variance = (leaks.var(0) + doubt * mean.square()).clamp(min=1e-9 * mean.square())
    return mean.square() / variance, mean / (mean + variance)


def _served(
    leaks: Tensor, seen: Tensor, certain: Tensor, doubt: float, source: torch.Generator
) -> Tensor:
    """Draws (1000,) of how many of the ``seen`` modes are served, the ``certain`` ones included."""
    total = leaks.sum(1).clamp(min=torch.finfo(leaks.dtype).tiny)
    # The factor is log-normal and varies as the total does; doubt adds a variance of 1 here, too.
    spread = (total.var() / total.mean().square() + doubt).log1p().sqrt()
    relative = leaks * (total.mean() / total)[:, None]
    shape, chance = _negative_binomial(relative, 0.0)
    steps = torch.linspace(-3, 3, 25, dtype=torch.float64)
    factors = (spread * steps).exp()[:, None]
    # P(at least one leaks) of the negative binomial whose mean is multiplied by the factor.
    leaked = -torch.expm1(-shape * torch.log1p(factors * (1 - chance) / chance))
    # Modes share error rates, so they say less than as many independent ones would.
    middle = leaked[len(steps) // 2]
    together = (-torch.expm1(-relative)).sum(1).var()
    weight = 1 / (1 + together / (middle * (1 - middle)).sum().clamp(min=1e-9))
    shares = ((torch.arange(100, dtype=torch.float64) + 0.5) / 100).square()[None, :, None]
    # Held-out images may make certain what generated ones have not: below 1, so that it has a log.
    chances = (shares + (1 - shares) * leaked[:, None]).clamp(max=1 - 1e-9)
    likelihood = weight * torch.where(seen, chances, 1 - chances).log().sum(2)
    likelihood -= steps.square()[:, None] / 2
    density = (likelihood - likelihood.max()).exp().flatten()
    picked = torch.multinomial(density, 1000, replacement=True, generator=source)
    unsure = seen & ~certain
    share = shares.flatten()[picked % 100, None]
    by_error = (1 - share) * leaked[picked // 100][:, unsure]
    uniform = torch.rand(by_error.shape, generator=source, dtype=torch.float64)
    return (uniform < share / (share + by_error)).sum(1).double() + int((seen & certain).sum())
