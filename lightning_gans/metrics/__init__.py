"""Metrics of samples: numbers with what a perfect sampler gets; ``functional`` holds the formulas.

Each is a ``torchmetrics.Metric`` of which ``compute()`` gives a name for each `Measured` number.
They sum or gather over processes, draw nothing from global generators and never touch a model.
"""

from lightning_gans.metrics.diversity import NDB, Birthday, ImageSimilarity, PairwiseDistance, Vendi
from lightning_gans.metrics.functional.measured import Measured
from lightning_gans.metrics.modes import ClassModes, GaussianModes

__all__ = [
    "NDB",
    "Birthday",
    "ClassModes",
    "GaussianModes",
    "ImageSimilarity",
    "Measured",
    "PairwiseDistance",
    "Vendi",
]
