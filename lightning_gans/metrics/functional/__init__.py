"""Pure functions from samples or counts to numbers, one file a family; they need torch and scipy.

Random numbers come from generators of their own: measuring leaves training as it was.
"""

from lightning_gans.metrics.functional.birthday import (
    birthday_support,
    collision_probability,
    duplicate_distance,
    duplicates,
)
from lightning_gans.metrics.functional.corrected import Corrected, corrected_count
from lightning_gans.metrics.functional.diversity import (
    Kinds,
    ms_ssim,
    pairwise_distance,
    vendi,
    vendi_kernel,
)
from lightning_gans.metrics.functional.frechet import (
    Factored,
    Moments,
    Sums,
    factored,
    frechet_distance,
    moments,
)
from lightning_gans.metrics.functional.kernel import kernel_distance, kernel_distance_subsets
from lightning_gans.metrics.functional.measured import Measured, binomial_interval
from lightning_gans.metrics.functional.memorisation import (
    authenticity,
    data_copying,
    membership_auc,
    memorisation_penalty,
    mifid,
)
from lightning_gans.metrics.functional.modes import (
    captured,
    captured_ideal,
    forward_kl,
    high_quality,
    high_quality_ideal,
    js,
    least_served,
    most_served,
    perfect,
    reverse_kl,
    total_variation,
)
from lightning_gans.metrics.functional.ndb import ndb, ndb_js, ndb_js_ideal
from lightning_gans.metrics.functional.neighbours import (
    Balls,
    Hits,
    Nearest,
    balls,
    coverage_ideal,
    nearest_other,
    nearest_real,
    precision_recall_density_coverage,
)
from lightning_gans.metrics.functional.score import classifier_score
from lightning_gans.objectives.clustering import kmeans

__all__ = [
    "Balls",
    "Corrected",
    "Factored",
    "Hits",
    "Kinds",
    "Measured",
    "Moments",
    "Nearest",
    "Sums",
    "authenticity",
    "balls",
    "binomial_interval",
    "birthday_support",
    "captured",
    "captured_ideal",
    "classifier_score",
    "collision_probability",
    "corrected_count",
    "coverage_ideal",
    "data_copying",
    "duplicate_distance",
    "duplicates",
    "factored",
    "forward_kl",
    "frechet_distance",
    "high_quality",
    "high_quality_ideal",
    "js",
    "kernel_distance",
    "kernel_distance_subsets",
    "kmeans",
    "least_served",
    "membership_auc",
    "memorisation_penalty",
    "mifid",
    "moments",
    "most_served",
    "ms_ssim",
    "ndb",
    "ndb_js",
    "ndb_js_ideal",
    "nearest_other",
    "nearest_real",
    "pairwise_distance",
    "perfect",
    "precision_recall_density_coverage",
    "reverse_kl",
    "total_variation",
    "vendi",
    "vendi_kernel",
]
