"""``--export``: the page with all it shows as one file, which needs no server and no network."""

import base64
import gzip
import html
import io
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from lightning_gans.dashboard.assets import PAGE, import_map, index, plotly
from lightning_gans.dashboard.guard import given_out
from lightning_gans.dashboard.server import answer
from lightning_gans.dashboard.sweeps import sweeps
from lightning_gans.dashboard.watch import Watch
from lightning_gans.errors import InputError
from lightning_gans.runs import to_json
from lightning_gans.runs.files import write_whole

__all__ = ["chosen", "export"]

_POINTS = 300
_FRAMES = 8
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
    "style-src 'unsafe-inline'; script-src 'unsafe-inline' data: blob:\">"
)
"""Nothing that the file holds can ask anyone for anything."""


def chosen(watch: Watch, wanted: list[str], most: int) -> list[str]:
    """The runs to export.

    Args:
        watch: Knows the runs.
        wanted: Runs, experiments, or patterns such as ring/*; none means the newest. They are
            called as on the page, or by their paths from here.
        most: At most so many of the newest.

    Raises:
        InputError: One is no run.
    """
    known = watch.newest()
    for name in wanted:
        if not any(_is_meant(run, name, watch.root) for run in known):
            raise InputError(f"--runs {name}: there is no such run or experiment in {watch.root}")
    if not wanted:
        return known[:most]
    return [run for run in known if any(_is_meant(run, name, watch.root) for name in wanted)]


def _is_meant(run: str, name: str, root: Path) -> bool:
    path, name = (root / run).resolve(), name.rstrip("/")
    by_path = name and path.is_relative_to(Path(name).resolve())
    return by_path or run == name or run.startswith(f"{name}/") or fnmatch(run, name)


def export(watch: Watch, runs: list[str], path: Path) -> int:
    """Write the page about ``runs`` to ``path``; the number of bytes.

    Pictures are at most eight of a kind over training, as WebP; columns at most 300 values.

    Raises:
        InputError: The file cannot be written.
    """
    # Nothing of the other runs: not even a setting or a metric that only they have.
    answers: dict[str, Any] = {"runs": watch.told_of(runs)}
    files: dict[str, str] = {}
    for run in runs:
        about = answer(watch, f"run/{run}")[1]()
        answers[f"run/{run}"] = about
        answers[f"curves/{run}"] = answer(watch, f"curves/{run}", _POINTS)[1]()
        if about is None:
            continue
        about["files"] = []
        for kind, pictures in about["pictures"].items():
            few = {picture["file"]: picture for picture in _few(pictures)}
            held = {file: data for file in few if (data := _data(watch.root, file))}
            about["pictures"][kind] = [few[file] for file in held]
            files |= held
    shown = [
        s for s in sweeps(watch.root) if any(r.startswith(f"sweeps/{s['name']}/") for r in runs)
    ]
    answers["sweeps"] = shown
    for each in shown:
        for question in (f"sweep/{each['name']}", f"importance/{each['name']}"):
            answers[question] = answer(watch, question)[1]()
    # Nothing that a run says may end the script element that it lies in, or begin another.
    data = to_json({"answers": answers, "files": files}, separators=(",", ":"))
    data = data.replace("<", "\\u003c")
    library = base64.b64encode(gzip.compress(plotly().read_bytes(), mtime=0)).decode()
    scripts = (
        f'<script type="application/json" id="kept">{data}</script>\n'
        f'<script type="text/plain" id="plotly">{library}</script>'
    )
    style = f"{_POLICY}\n<style>{(PAGE / 'style.css').read_text()}</style>"
    text = index(style, scripts, import_map(True), html.escape(watch.root.name))
    try:
        write_whole(path, text)
    except OSError as error:
        raise InputError(f"--export {path} cannot be written ({error.strerror})") from error
    return path.stat().st_size


def _few(pictures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """First, last, and some between; those of no moment all."""
    timed = [picture for picture in pictures if picture["samples"] is not None]
    untimed = [
        picture
        for picture in pictures
        if picture["samples"] is None and not picture["file"].endswith(".gif")
    ]
    if len(timed) > _FRAMES:
        last = len(timed) - 1
        timed = [timed[round(i * last / (_FRAMES - 1))] for i in range(_FRAMES)]
    return untimed + timed


def _data(root: Path, name: str) -> str | None:
    """A picture as an address that holds it: as WebP, a third as large, unless that is no gain.

    None of one that is gone meanwhile, or half written.
    """
    from PIL import Image

    if (file := given_out(root, name)) is None:
        return None
    try:
        kind, content = "png", file.read_bytes()
        with Image.open(io.BytesIO(content)) as picture:
            picture.convert("RGB").save(packed := io.BytesIO(), "WEBP", quality=80, method=2)
    except Exception:  # a damaged file fails wherever its bytes are first used
        return None
    if len(packed.getvalue()) < len(content):
        kind, content = "webp", packed.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
