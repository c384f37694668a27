"""``--export``: the page with all it shows as one file, which needs no server and no network."""

import base64
import gzip
import html
import io
import json
import os
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from lightning_gans.dashboard.assets import PAGE, import_map, index, plotly
from lightning_gans.dashboard.guard import inside
from lightning_gans.dashboard.server import answer
from lightning_gans.dashboard.summary import curves
from lightning_gans.dashboard.sweeps import sweeps
from lightning_gans.dashboard.watch import Watch
from lightning_gans.errors import InputError

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
        wanted: Runs, experiments, or patterns such as ring/*; none means the newest.
        most: At most so many of the newest.

    Raises:
        InputError: One is no run.
    """
    known = watch.newest()
    for name in wanted:
        if not any(_is_meant(run, name) for run in known):
            raise InputError(f"--runs {name}: there is no such run or experiment in {watch.root}")
    if not wanted:
        return known[:most]
    return [run for run in known if any(_is_meant(run, name) for name in wanted)]


def _is_meant(run: str, name: str) -> bool:
    name = name.rstrip("/")
    return run == name or run.startswith(f"{name}/") or fnmatch(run, name)


def export(watch: Watch, runs: list[str], path: Path) -> int:
    """Write the page about ``runs`` to ``path``; the number of bytes.

    Pictures are at most eight of a kind over training, as WebP; columns at most 300 values.

    Raises:
        InputError: The file cannot be written.
    """
    told = watch.told()
    told["runs"] = [run for run in told["runs"] if run["id"] in set(runs)]
    answers: dict[str, Any] = {"runs": told}
    files: dict[str, str] = {}
    for run in runs:
        about = answer(watch, f"run/{run}")[1]()
        about["pictures"] = {kind: _few(each) for kind, each in about["pictures"].items()}
        about["files"] = []
        for picture in (picture for kind in about["pictures"].values() for picture in kind):
            if file := inside(watch.root, picture["file"]):
                files[picture["file"]] = _data(file)
        answers[f"run/{run}"] = about
        answers[f"curves/{run}"] = curves(watch.run(run), _POINTS)
    shown = [
        s for s in sweeps(watch.root) if any(r.startswith(f"sweeps/{s['name']}/") for r in runs)
    ]
    answers["sweeps"] = shown
    for each in shown:
        for question in (f"sweep/{each['name']}", f"importance/{each['name']}"):
            answers[question] = answer(watch, question)[1]()
    # Nothing that a run says may end the script element that it lies in, or begin another.
    data = json.dumps({"answers": answers, "files": files}, separators=(",", ":"))
    data = data.replace("<", "\\u003c")
    library = base64.b64encode(gzip.compress(plotly().read_bytes(), mtime=0)).decode()
    scripts = (
        f'<script type="application/json" id="kept">{data}</script>\n'
        f'<script type="text/plain" id="plotly">{library}</script>'
    )
    style = f"{_POLICY}\n<style>{(PAGE / 'style.css').read_text()}</style>"
    text = index(style, scripts, import_map(True), html.escape(watch.root.name))
    partial = path.with_name(f".{path.name}.tmp")
    try:
        partial.write_text(text)
        os.replace(partial, path)
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


def _data(file: Path) -> str:
    """A picture as an address that holds it: as WebP, a third as large, unless that is no gain."""
    from PIL import Image

    kind, content = "png", file.read_bytes()
    with Image.open(io.BytesIO(content)) as picture:
        picture.convert("RGB").save(packed := io.BytesIO(), "WEBP", quality=80, method=2)
    if len(packed.getvalue()) < len(content):
        kind, content = "webp", packed.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
