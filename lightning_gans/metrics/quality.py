"""How good generated events are: every number from one pass of features."""

import hashlib
import math
import warnings
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from lightning_gans.errors import InputError
from lightning_gans.metrics.features import Extractor, Features
from lightning_gans.metrics.functional import (
    Balls,
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
from lightning_gans.metrics.kept import Arrays, kept
from lightning_gans.metrics.reference import Reference

__all__ = ["FAMILIES", "Family", "Quality"]

Family = Literal["frechet", "kernel", "subsets", "score", "neighbours", "vendi", "memorisation"]
FAMILIES: tuple[Family, ...] = get_args(Family)

_K = 5
_SUBSETS, _SUBSET = 100, 1000
_VERSION = 1
"""Part of each key of the cache: to be raised whenever a number's computing changes."""


class Quality:
    """Measures generated events by an extractor's features, beside what held-out real ones get.

    ``measure()`` gives, by family, with <d> the name of the data's features (``digits``; with
    TF-Inception's ``fid``, ``kid`` and ``is`` instead of ``fd_<d>``, ``kd_<d>`` and ``score_<d>``):

    * frechet: ``fd_<d>``, Frechet distance from all training features;
    * kernel: ``kd_<d>``, unbiased squared MMD with the cubic kernel, of up to 10,000 training
      events;
    * subsets: ``kd_<d>_<s>x<k>``, its mean over s subsets of k, as other programs give it;
    * score: ``score_<d>``, where the extractor tells classes;
    * neighbours: ``precision``, ``recall``, ``density``, ``coverage`` with balls to the 5th
      neighbour, of as many training events as generated ones;
    * vendi: ``vendi``, which grows with n;
    * memorisation: ``mifd_<d>`` (Inception's: ``mifid``) and its ``memorisation_penalty``,
      ``authentic`` and ``c_t``.

    An ideal is what the first n held-out events get in the generated ones' place, if there are
    that many: one draw of it, which varies as the number itself does. Those of ``density`` (1),
    ``coverage``, ``c_t`` and kernel distances (0) are known without. What cannot be measured, such
    as C_T of very few events, is nan.

    What is found from real events alone is kept beside their features.

    Args:
        extractor: Whose features these are.
        real: The real events' features.
        families: What is measured.
        n: Generated events that will be measured.
    """

    def __init__(
        self, extractor: Extractor, real: Reference, families: tuple[Family, ...], n: int
    ) -> None:
        self.extractor, self.real, self.n = extractor, real, n
        self._subset = max(1, min(_SUBSET, n // 2, len(real.distinct)))
        self._neighbours_of = min(n, len(real.distinct))
        known = {family: names for family, names in self._names().items() if family in families}
        self._measures = {names: getattr(self, f"_{family}") for family, names in known.items()}
        self._balls, self._ideals = None, {}
        if real.key is None:
            found = self._find(families)
        else:
            told = (_VERSION, real.key, self.extractor.name, n, sorted(families), self._subset)
            key = hashlib.sha256(repr(told).encode()).hexdigest()[:16]
            place = f"ideals/{extractor.name}-{key}.npz"
            balls_too = "neighbours" in families and self._neighbours_of > _K
            needed = {"c_t", "radii"} if balls_too else {"c_t"}
            found = kept(place, lambda: self._find(families), needed)
        if "radii" in found:
            radii = torch.from_numpy(found["radii"])
            self._balls = Balls(real.distinct[:n], radii, _K)
        self._ideals = {name: array.item() for name, array in found.items() if name != "radii"}

    def _find(self, families: tuple[Family, ...]) -> Arrays:
        """Ideals by their names, and the radii of the balls about real events."""
        real, n, names = self.real, self.n, self._names()
        ideals = {"density": 1.0, "c_t": 0.0}
        ideals |= dict.fromkeys((*names["kernel"], *names["subsets"]), 0.0)
        found = {}
        if "neighbours" in families and self._neighbours_of > _K:
            ideals["coverage"] = coverage_ideal(self._neighbours_of, n, _K)
            self._balls = balls(real.distinct[:n], _K)  # held-out events are measured by them, too
            found["radii"] = self._balls.radii.numpy()
        if len(real.held_out) >= n:
            logits = None if real.held_out_logits is None else real.held_out_logits[:n]
            held_out = self._all(Features(real.held_out[:n], logits))
            ideals = {name: number.value for name, number in held_out.items()} | ideals
        return found | {name: np.array(value) for name, value in ideals.items()}

    def _names(self) -> dict[Family, tuple[str, ...]]:
        """The numbers of each family that can be had."""
        named = self.extractor.metrics
        distance, kernel = named["frechet"], named["kernel"]
        copies = (f"mi{distance}", "memorisation_penalty", "authentic")
        return {
            "frechet": (distance,),
            "kernel": (kernel,),
            "subsets": (f"{kernel}_{_SUBSETS}x{self._subset}",),
            "score": (named["score"],) if self.extractor.tells_classes else (),
            "neighbours": ("precision", "recall", "density", "coverage"),
            "vendi": ("vendi",),
            "memorisation": (*copies, "c_t") if len(self.real.held_out) else copies,
        }

    @property
    def protocol(self) -> str:
        """What the numbers hold for, in a name: extractor and real events, how many, and n.

        x2 says that training images are seen in both orientations.
        """
        extractor, real = self.extractor, self.real
        told = f"{extractor.digest} {extractor.resize} {real.digest}"
        digest = hashlib.sha256(told.encode()).hexdigest()
        both = f"x{real.orientations}" if real.orientations > 1 else ""
        name = f"{extractor.name}-{digest[:8]}"
        return f"{name}_train{len(real.distinct)}{both}_n{self.n}"

    def fingerprint(self) -> dict[str, Any]:
        """What the numbers hold for, in full."""
        return {
            "extractor": self.extractor.name,
            "digest": self.extractor.digest,
            "resize": self.extractor.resize,
            "data": self.real.name,
            "data_digest": self.real.digest,
            "orientations": self.real.orientations,
            "n_real": len(self.real.distinct),
            "n_real_kernel": len(self.real.kernels.points),
            "n_real_neighbours": self._neighbours_of,
            "n_held_out": len(self.real.held_out),
            "n": self.n,
            "floors": self.real.floors,
        }

    def measure(self, fake: Features) -> dict[str, Measured]:
        """Each number of generated events with its ideal.

        Events whose features are not finite are left out, with a warning, but are part of n.
        """
        finite = fake.values.isfinite().all(1)
        if broken := int((~finite).sum()):
            warnings.warn(
                f"{broken} of {len(finite)} samples are not finite: left out of what "
                f"{self.extractor.name} measures",
                stacklevel=2,
            )
        logits = None if fake.logits is None else fake.logits[finite]
        found = self._all(Features(fake.values[finite], logits))
        return {
            name: number._replace(n=len(finite), ideal=self._ideals.get(name))
            for name, number in found.items()
        }

    def _all(self, fake: Features) -> dict[str, Measured]:
        """All numbers, nan where they cannot be had, in the order of the families."""
        found: dict[str, Measured] = {}
        for names, measure in self._measures.items():
            try:
                numbers = measure(fake)
            except InputError:  # too few, or all alike in a way that has no number
                numbers = [Measured(math.nan, None, 0)] * len(names)
            found |= zip(names, numbers, strict=True)
        return found

    def _frechet(self, fake: Features) -> list[Measured]:
        return [_plain(frechet_distance(self.real.law, fake.values))]

    def _kernel(self, fake: Features) -> list[Measured]:
        return [kernel_distance(self.real.kernels, fake.values)]

    def _subsets(self, fake: Features) -> list[Measured]:
        train, size = self.real.distinct, self._subset
        return [kernel_distance_subsets(train, fake.values, _SUBSETS, size)]

    def _score(self, fake: Features) -> list[Measured]:
        return [classifier_score(fake.logits)] if self.extractor.tells_classes else []

    def _vendi(self, fake: Features) -> list[Measured]:
        if not len(fake.values):
            raise InputError("there are no generated samples")
        return [_plain(vendi(fake.values))]

    def _neighbours(self, fake: Features) -> list[Measured]:
        if self._balls is None:
            raise InputError(f"there are no {_K} other real samples")
        hits = precision_recall_density_coverage(self._balls, balls(fake.values, _K))
        precision, recall, coverage = (
            _share(hits.precision),
            _share(hits.recall),
            _share(hits.coverage),
        )
        return [precision, recall, _plain(hits.density.mean().item()), coverage]

    def _memorisation(self, fake: Features) -> list[Measured]:
        train, held_out, values = self.real.train, self.real.held_out, fake.values
        distance = frechet_distance(self.real.law, values)
        penalty, near = memorisation_penalty(train, values), nearest_real(values, train)
        found = [_plain(mifid(distance, penalty)), _plain(penalty)]
        own = nearest_other(train, near.index, self.real.orientations)
        found.append(authenticity(near, own))
        if len(held_out):
            try:
                found.append(data_copying(train, held_out, values))
            except InputError:  # no cell has enough of both
                found.append(_plain(math.nan))
        return found


def _plain(value: float) -> Measured:
    return Measured(value, None, 0)


def _share(hits: Tensor) -> Measured:
    inside = int(hits.sum())
    interval = binomial_interval(inside, len(hits))
    return Measured(inside / len(hits), None, len(hits), *interval)
