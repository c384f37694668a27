"""How good generated events are: every number from one pass of features."""

import hashlib
import math
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from lightning_gans.errors import InputError
from lightning_gans.metrics.features import Extractor, Features
from lightning_gans.metrics.functional import (
    Measured,
    authenticity,
    balls,
    binomial_interval,
    classifier_score,
    coverage_ideal,
    data_copying,
    frechet_distance,
    kernel_distance,
    kernel_distance_subsets,
    memorisation_penalty,
    mifid,
    nearest_other,
    nearest_real,
    precision_recall_density_coverage,
    vendi,
)
from lightning_gans.metrics.reference import Reference

__all__ = ["FAMILIES", "Family", "Quality"]

Family = Literal["frechet", "kernel", "subsets", "score", "neighbours", "vendi", "memorisation"]
FAMILIES: tuple[Family, ...] = get_args(Family)

_K = 5
_SUBSETS, _SUBSET = 100, 1000
_HALVES_SEED = 0


class Quality:
    """Measures generated events by an extractor's features, beside what held-out real ones get.

    ``measure()`` gives, by family, with <d> the name of the data's features (``digits``; with
    TF-Inception's ``fid``, ``kid`` and ``is`` instead of ``fd_<d>``, ``kd_<d>`` and ``score_<d>``):

    * frechet: ``fd_<d>``, Frechet distance from all training features;
    * kernel: ``kd_<d>``, unbiased squared MMD with the cubic kernel, of as many training events;
    * subsets: ``kd_<d>_<s>x<k>``, its mean over s subsets of k, as other programs give it;
    * score: ``score_<d>``, where the extractor tells classes;
    * neighbours: ``precision``, ``recall``, ``density``, ``coverage`` with balls to the 5th
      neighbour, of as many training events as generated ones;
    * vendi: ``vendi``, which grows with n;
    * memorisation: ``mifd_<d>`` (Inception's: ``mifid``) and its ``memorisation_penalty``,
      ``authentic`` and ``c_t``.

    An ideal is what the first n held-out events get in the generated ones' place, if there are
    that many; those of ``density``, ``coverage`` and ``c_t`` are known without.

    Args:
        extractor: Whose features these are.
        real: The real events' features.
        families: What is measured.
        n: Generated events that will be measured.

    Attributes:
        floors: The Frechet distance of half of the training events from the other half, and of
            all held-out ones from all of training.
    """

    def __init__(
        self, extractor: Extractor, real: Reference, families: tuple[Family, ...], n: int
    ) -> None:
        self.extractor, self.real, self.families, self.n = extractor, real, families, n
        self._balls = balls(real.train[:n], _K) if "neighbours" in families else None
        self.floors = self._floors() if "frechet" in families else {}
        held_out = real.held_out[:n]
        logits = None if real.held_out_logits is None else real.held_out_logits[:n]
        self._ideals: dict[str, float | None] = {}
        if len(held_out) == n:
            found = self._all(Features(held_out, logits))
            self._ideals = {name: number.value for name, number in found.items()}

    @property
    def protocol(self) -> str:
        """What the numbers hold for, in a name: extractor, real and generated events."""
        extractor, real = self.extractor, self.real
        digest = hashlib.sha256(f"{extractor.digest} {extractor.resize}".encode()).hexdigest()
        return f"{extractor.name}-{digest[:8]}_train{len(real.train)}_n{self.n}"

    def fingerprint(self) -> dict[str, Any]:
        """What the numbers hold for, in full."""
        return {
            "extractor": self.extractor.name,
            "digest": self.extractor.digest,
            "resize": self.extractor.resize,
            "real": {"split": "train", "n": len(self.real.train)},
            "held_out": {"split": "val and test", "n": len(self.real.held_out)},
            "n": self.n,
            "floors": self.floors,
        }

    def _floors(self) -> dict[str, float]:
        order = torch.Generator().manual_seed(_HALVES_SEED)
        train = self.real.train[torch.randperm(len(self.real.train), generator=order)]
        half = len(train) // 2
        floors = {"train_halves": frechet_distance(train[:half], train[half : 2 * half])}
        if len(self.real.held_out) > 1:
            floors["held_out"] = frechet_distance(self.real.law, self.real.held_out)
        return floors

    def measure(self, fake: Features) -> dict[str, Measured]:
        """Each number of generated events with its ideal.

        Events whose features are not finite are left out, but are part of n; all numbers are nan
        if too few are left.
        """
        finite = fake.values.isfinite().all(1)
        n, left = len(finite), int(finite.sum())
        logits = None if fake.logits is None else fake.logits[finite]
        if left <= _K:
            return {name: Measured(math.nan, ideal, n) for name, ideal in self._ideals.items()}
        found = self._all(Features(fake.values[finite], logits))
        return {
            name: number._replace(
                n=n, ideal=self._ideals.get(name) if number.ideal is None else number.ideal
            )
            for name, number in found.items()
        }

    def _all(self, fake: Features) -> dict[str, Measured]:
        """All numbers; ideals only where they are known without real events in their place."""
        n, names = len(fake.values), self.extractor.metrics
        found: dict[str, Measured] = {}
        if "frechet" in self.families or "memorisation" in self.families:
            distance = frechet_distance(self.real.law, fake.values)
        if "frechet" in self.families:
            found[names["frechet"]] = Measured(distance, None, n)
        if "kernel" in self.families:
            value = kernel_distance(self.real.train[:n], fake.values)
            found[names["kernel"]] = Measured(value, None, n)
        if "subsets" in self.families:
            size = min(_SUBSET, n // 2)
            value, _ = kernel_distance_subsets(self.real.train, fake.values, _SUBSETS, size)
            found[f"{names['kernel']}_{_SUBSETS}x{size}"] = Measured(value, None, n)
        if "score" in self.families and fake.logits is not None:
            value, _ = classifier_score(fake.logits)
            found[names["score"]] = Measured(value, None, n)
        if self._balls is not None:
            found |= self._neighbours(fake.values)
        if "vendi" in self.families:
            found["vendi"] = Measured(vendi(fake.values), None, n)
        if "memorisation" in self.families:
            found |= self._memorisation(fake.values, distance)
        return found

    def _neighbours(self, fake: Tensor) -> dict[str, Measured]:
        hits = precision_recall_density_coverage(self._balls, balls(fake, _K))
        ideals = {"coverage": coverage_ideal(len(self._balls.points), len(fake), _K)}
        found = {"density": Measured(hits.density.mean().item(), 1.0, len(fake))}
        for name in ("precision", "recall", "coverage"):
            own = getattr(hits, name)
            inside = int(own.sum())
            interval = binomial_interval(inside, len(own))
            found[name] = Measured(inside / len(own), ideals.get(name), len(fake), *interval)
        return found

    def _memorisation(self, fake: Tensor, distance: float) -> dict[str, Measured]:
        n, train, held_out = len(fake), self.real.train, self.real.held_out
        penalty, near = memorisation_penalty(train, fake), nearest_real(fake, train)
        name = f"mi{self.extractor.metrics['frechet']}"
        found = {
            name: Measured(mifid(distance, penalty), None, n),
            "memorisation_penalty": Measured(penalty, None, n),
            "authentic": authenticity(near, nearest_other(train, near.index)),
        }
        if len(held_out):
            try:
                found["c_t"] = data_copying(train, held_out, fake)
            except InputError:  # no cell has enough of both
                found["c_t"] = Measured(math.nan, 0.0, n)
        return found
