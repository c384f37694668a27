"""Pictures of modes: where samples lie, which modes they serve, and how that went over time."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from lightning_gans.data.gaussians import Gaussians
from lightning_gans.networks.minibatch import looks_at_batches

__all__ = [
    "discriminator_of",
    "draw_film",
    "draw_histogram",
    "draw_history",
    "draw_occupancy",
    "draw_plane",
    "standardised",
]

Points = Float[Tensor, "n 2"]

_FIELD = 96
_MOST_FRAMES = 100
_SHOWN = 2500
_TIMES_EXPECTED = 4
_REAL, _MADE = "#5b6770", "#c8102e"


def standardised(field: Tensor) -> Tensor:
    """Ranks of the values, 0 to 1: a field is seen whatever the size of its logits."""
    values, ranks = field.unique(return_inverse=True)
    return ranks / max(len(values) - 1, 1)


def _limits(law: Gaussians) -> list[tuple[float, float]]:
    """A square around the modes, with room for what lies beside them."""
    spread = 3 * law.scales.square().sum(2).sqrt().max()
    least, most = law.means.amin(0), law.means.amax(0)
    reach = 1.25 * ((most - least).max() / 2 + spread)
    return [((m - reach).item(), (m + reach).item()) for m in (least + most) / 2]


@contextmanager
def discriminator_of(model: LightningModule) -> Iterator[Callable[[Tensor], Tensor] | None]:
    """The discriminator's logits as a function of points, if it has one for each of them.

    One that judges packs is shown each point with itself; to one that looks at whole batches
    (`networks.minibatch`) a point alone means nothing.
    """
    discriminator = getattr(model, "discriminator", None)
    if not isinstance(discriminator, nn.Module) or looks_at_batches(discriminator):
        yield None
        return
    training = discriminator.training
    packing = discriminator.packing

    @torch.no_grad()
    def judge(points: Tensor) -> Tensor:
        points = points.to(next(discriminator.parameters()))
        return discriminator(points.repeat_interleave(packing, 0))

    discriminator.eval()
    try:
        yield judge
    finally:
        discriminator.train(training)


def draw_plane(
    law: Gaussians,
    real: Points,
    made: Points,
    judge: Callable[[Points], Tensor] | None,
    title: str,
    path: Path,
) -> None:
    """Write real and generated points, each mode's ellipse of 3 deviations and D's field.

    Args:
        law: Of the real points.
        real: Real points.
        made: Generated points, as many or not.
        judge: From points (n, 2) to logits (n,); their ranks colour the background, from blue for
            what is taken for generated to yellow for real. None leaves it white.
        title: Above the picture.
        path: Of the PNG.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Ellipse

    across, up = _limits(law)
    figure = Figure(figsize=(5, 5.4), layout="constrained")
    axes = figure.add_subplot()
    if judge is not None:
        axes_ = (torch.linspace(*limits, _FIELD) for limits in (across, up))
        field = judge(torch.cartesian_prod(*axes_)).float().cpu().reshape(_FIELD, _FIELD)
        shown = standardised(field.nan_to_num()).T
        axes.imshow(shown.numpy(), extent=(*across, *up), origin="lower", cmap="cividis", alpha=0.5)
    for points, colour, label in ((real, _REAL, "real"), (made, _MADE, "generated")):
        x, y = points[:_SHOWN].float().cpu().numpy().T
        axes.scatter(x, y, s=3, alpha=0.5, linewidths=0, color=colour, label=label)
    for mean, scale in zip(law.means, law.scales, strict=True):
        axis, size, _ = torch.linalg.svd(scale)
        angle = math.degrees(math.atan2(axis[1, 0], axis[0, 0]))
        width, height = (6 * size).tolist()
        axes.add_patch(Ellipse(mean.tolist(), width, height, angle=angle, fill=False, lw=0.6))
    axes.set(xlim=across, ylim=up, aspect="equal")
    axes.set_title(title, fontsize=9)
    axes.legend(loc="upper right", fontsize=8, markerscale=3)
    figure.savefig(path, dpi=100)


def draw_histogram(
    counts: Int64[Tensor, " modes"],
    law: Float[Tensor, " modes"],
    names: Sequence[str],
    title: str,
    path: Path,
) -> None:
    """Write how many samples each mode has, with what the data's law expects beside it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(5, min(0.3 * len(counts), 14)), 3.6), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(counts))
    axes.bar(places, counts.tolist(), color=_MADE, alpha=0.8, label="generated")
    expected = (law * counts.sum()).tolist()
    # The same scale for every model of the same data; what goes beyond says how far.
    top = _TIMES_EXPECTED * max(expected)
    axes.set_ylim(0, max(top, 1))  # of nothing but infinities no sample is left
    for place, many in zip(places, counts.tolist(), strict=True):
        if many > top:
            axes.text(place, 0.98 * top, f"{many:,}", ha="center", va="top", fontsize=7)
    axes.plot(places, expected, "_", color=_REAL, markersize=12, mew=2, label="expected of data")
    if len(counts) <= 50:
        slanted = max(map(len, names)) > 2
        axes.set_xticks(places, names, rotation=60 if slanted else 0, fontsize=8)
    axes.set_ylabel("samples, each of its likeliest mode")
    axes.set_title(title, fontsize=9)
    axes.legend(loc="upper right", fontsize=8)
    figure.savefig(path, dpi=100)


def draw_occupancy(
    counts: Int64[Tensor, "first second third"], names: Sequence[str], title: str, path: Path
) -> None:
    """Write the samples of every triple as one square for each first digit; white is missed."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    classes = len(counts)
    columns = math.ceil(classes / 2)
    figure = Figure(figsize=(1.7 * columns + 1, 4.4), layout="constrained")
    squares = figure.subplots(2, columns, squeeze=False).flatten()
    most = max(int(counts.max()), 2)
    # The places that are masked stay white: a missed mode must not look like a rare one.
    masked = counts.double().masked_fill(counts == 0, math.nan)
    for square in squares:
        square.set_axis_off()
    for first, (square, part) in enumerate(zip(squares, masked, strict=False)):
        square.set_axis_on()
        image = square.imshow(part.numpy(), norm=LogNorm(1, most), cmap="viridis")
        square.set_title(f"{names[first]} * *", fontsize=8)
        square.set_xticks(range(classes), names, fontsize=5)
        square.set_yticks(range(classes), names, fontsize=5)
    bar = figure.colorbar(image, ax=list(squares), shrink=0.8)
    bar.set_label("samples; white: none", fontsize=8)
    figure.suptitle(title, fontsize=9)
    figure.savefig(path, dpi=100)


def draw_history(records: Sequence[dict], names: Sequence[str], path: Path) -> None:
    """Write metrics over samples seen, with intervals and what a perfect sampler gets.

    Args:
        records: As in modes.jsonl, in order.
        names: Metrics to draw, one panel each.
        path: Of the PNG.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(names), 3.4), layout="constrained")
    seen = [record["samples_seen"] for record in records]
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        measured = [record["metrics"][name] for record in records]
        value, low, high = (
            [math.nan if m[key] is None else m[key] for m in measured]
            for key in ("value", "low", "high")
        )
        axes.plot(seen, value, marker=".", color=_MADE)
        axes.fill_between(seen, low, high, color=_MADE, alpha=0.2, lw=0)
        if measured[-1]["ideal"] is not None:
            axes.axhline(measured[-1]["ideal"], color=_REAL, ls="--", lw=1, label="perfect sampler")
            axes.legend(loc="upper right", fontsize=8)
        axes.set(title=name, xlabel="samples seen")
        axes.locator_params(axis="x", nbins=4)
        axes.margins(y=0.1)
        if len(set(seen)) == 1:
            axes.set_xticks(seen[:1])
        if name.startswith(("captured", "corrected")):
            axes.set_ylim(bottom=0)
        if "kl" in name or name == "js":
            axes.set_yscale("symlog", linthresh=1e-3)
            axes.set_ylim(bottom=0)
            # Within one decade the usual labels would hide an offset.
            axes.yaxis.set_major_formatter("{x:.2g}")
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100)


def draw_film(frames: Sequence[Path], path: Path) -> None:
    """Write pictures as an animated GIF of some ten seconds, the last one shown longer.

    Those that a user has removed meanwhile are left out.
    """
    from PIL import Image

    if not (frames := [frame for frame in frames if frame.exists()]):
        return
    step = math.ceil(len(frames) / _MOST_FRAMES)
    chosen = list(reversed(frames[::-1][::step]))
    pictures = [Image.open(frame).convert("P", palette=Image.Palette.ADAPTIVE) for frame in chosen]
    each = max(60, min(400, 10_000 // len(pictures)))
    times = [each] * (len(pictures) - 1) + [2000]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=times, loop=0)
