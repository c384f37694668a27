"""Pictures of samples and of losses, as files that anyone can open."""

import math
import re
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from lightning_gans.runs import MetricsFile

__all__ = ["draw_curves", "draw_grid", "draw_points", "draw_sequences", "picture_of"]

_SEQUENCES = 10
_LEGIBLE = 32


def picture_of(event_shape: tuple[int, ...]) -> Callable[[Tensor, Path], None] | None:
    """How events of this shape are drawn: images, sequences, points of the plane; others not.

    Sequences of one step are points.
    """
    if len(event_shape) == 3 and event_shape[0] in (1, 3):
        return draw_grid
    if event_shape in ((2,), (1, 2)):
        return draw_points
    if len(event_shape) == 2 and event_shape[0] > 1:
        return draw_sequences
    return None


def draw_grid(images: Tensor, path: Path, columns: int | None = None) -> None:
    """Write images (n, 1 or 3, height, width) in [-1, 1] as a grid, as square as n allows.

    Each pixel of an image under 32 rows is drawn as a square of several.
    """
    from torchvision.utils import save_image

    columns = columns or math.ceil(math.sqrt(len(images)))
    times = max(1, _LEGIBLE // images.shape[-2])
    shown = images.float().cpu().repeat_interleave(times, 2).repeat_interleave(times, 3)
    save_image(shown, path, nrow=columns, normalize=True, value_range=(-1, 1))


def draw_points(points: Tensor, path: Path) -> None:
    """Write points (n, 2) or (n, 1, 2) as a scatter plot with equal axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="tight")
    axes = figure.add_subplot()
    axes.scatter(*points.flatten(1).float().cpu().numpy().T, s=4, alpha=0.4, linewidths=0)
    axes.set_aspect("equal")
    axes.set_xlim(-1.5, 1.5)
    axes.set_ylim(-1.5, 1.5)
    axes.autoscale(enable=bool((points.abs() > 1.5).any()))
    figure.savefig(path, dpi=100)


def draw_sequences(sequences: Tensor, path: Path) -> None:
    """Write the first sequences (n, time, dimension) as curves, one below the other.

    Each dimension has its colour.
    """
    from matplotlib.figure import Figure

    shown = sequences[:_SEQUENCES].float().cpu()
    height = 1.1 * (shown.nan_to_num(-math.inf).max() - shown.nan_to_num(math.inf).min()).item()
    figure = Figure(figsize=(7, 8), layout="tight")
    axes = figure.add_subplot()
    for i, sequence in enumerate(shown.numpy()):
        axes.set_prop_cycle(None)
        axes.plot(sequence - i * height, linewidth=0.8)
    # Another model's sequences may have another height: a bar of length 1 tells.
    axes.plot([0, 0], [-0.5, 0.5], color="black", lw=3, solid_capstyle="butt", clip_on=False)
    axes.annotate("1", (0, 0), xytext=(-8, 0), textcoords="offset points", ha="right", va="center")
    axes.set(xlabel="step", yticks=[])
    axes.margins(x=0, y=0.01)
    figure.savefig(path, dpi=100)


def draw_curves(metrics: MetricsFile, path: Path) -> None:
    """Write every logged loss and likelihood over samples seen, training beside held-out."""
    from matplotlib.figure import Figure

    names = [name for name in metrics.columns if re.fullmatch("(train|val)/(.*_loss|nll)", name)]
    splits = sorted({name.split("/")[0] for name in names})
    if not splits:
        return
    figure = Figure(figsize=(6 * len(splits), 4), layout="constrained")
    for axes, split in zip(figure.subplots(1, len(splits), squeeze=False)[0], splits, strict=True):
        for name in names:
            if name.startswith(split + "/"):
                label = name.split("/")[1].removesuffix("_loss")
                axes.plot(*metrics.series("samples_seen", name), label=label, marker=".")
        axes.set(title=f"{split} losses", xlabel="samples seen")
        axes.grid(alpha=0.3)
        axes.legend(loc="upper right")  # the best place takes a search, of which matplotlib warns
    figure.savefig(path, dpi=100)
