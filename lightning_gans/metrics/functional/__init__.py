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
from lightning_gans.metrics.functional.measured import Measured
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
from lightning_gans.metrics.functional.ndb import kmeans, ndb, ndb_js, ndb_js_ideal

__all__ = [
    "Corrected",
    "Kinds",
    "Measured",
    "birthday_support",
    "captured",
    "captured_ideal",
    "collision_probability",
    "corrected_count",
    "duplicate_distance",
    "duplicates",
    "forward_kl",
    "high_quality",
    "high_quality_ideal",
    "js",
    "kmeans",
    "least_served",
    "most_served",
    "ms_ssim",
    "ndb",
    "ndb_js",
    "ndb_js_ideal",
    "pairwise_distance",
    "perfect",
    "reverse_kl",
    "total_variation",
    "vendi",
    "vendi_kernel",
]
