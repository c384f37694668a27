"""The dashboard's web server: a page, a few questions about runs, and their pictures."""

import html
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from lightning_gans.dashboard.assets import MODULES, PAGE, START, import_map, index, plotly
from lightning_gans.dashboard.guard import Guard, given_out, policy
from lightning_gans.dashboard.summary import POINTS, curves, details
from lightning_gans.dashboard.sweeps import complete, importance, sweep, sweeps
from lightning_gans.dashboard.watch import Watch
from lightning_gans.runs import to_json

__all__ = ["answer", "application"]

_TYPES = {".js": "text/javascript", ".css": "text/css"}
_EMPTY_ICON = "<link rel='icon' href='data:,'>"


def answer(
    watch: Watch, question: str, points: int = POINTS
) -> tuple[str, Callable[[], Any]] | None:
    """What is known, and a mark that changes with it; None for what is not known.

    Args:
        watch: Knows the runs.
        question: ``runs``, ``curves/<run>``, ``run/<run>``, ``sweeps``, ``sweep/<name>`` or
            ``importance/<name>``.
        points: Most values of a curve.
    """
    kind, _, name = question.partition("/")
    if kind in ("curves", "run"):
        if (run := watch.run(name)) is None:
            return None
        tell = partial(curves, points=points) if kind == "curves" else partial(details, name=name)
        return watch.changed(name), lambda: _if_readable(tell, run)
    if kind == "sweeps" and not name:
        found = sweeps(watch.root)
        return _mark(found), lambda: found
    if kind in ("sweep", "importance"):
        if (content := sweep(watch.root, name)) is None:
            return None
        if kind == "sweep":
            return _mark(content), lambda: content
        # It takes a second, and says nothing new before another trial is complete.
        return _mark(complete(content)), lambda: importance(content)
    return None


def _if_readable(tell: Callable[[Path], Any], run: Path) -> Any:
    """What there is to tell of a run; None where its files are odd, as its line in the table says.

    Whatever is wrong with one run's files, the others are shown.
    """
    try:
        return tell(run)
    except Exception:
        return None


def _mark(content: Any) -> str:
    return f"{hash(to_json(content, sort_keys=True)):x}"


def application(watch: Watch, host: str, port: int, token: str | None) -> Starlette:
    """The web application over the runs that ``watch`` knows; see `Guard` for the rest."""
    root = watch.root

    def as_json(request: Request, mark: str, tell: Callable[[], Any]) -> Response:
        headers = {"ETag": f'"{mark}"', "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match", "").removeprefix("W/") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        text = to_json(tell(), separators=(",", ":"))
        return Response(text, media_type="application/json", headers=headers)

    async def runs(request: Request) -> Response:
        await run_in_threadpool(watch.look)
        since = request.query_params.get("since")
        if since == watch.token:
            return Response(status_code=204, headers={"Cache-Control": "no-store"})
        return await run_in_threadpool(as_json, request, watch.token, lambda: watch.told(since))

    async def about(request: Request) -> Response:
        await run_in_threadpool(watch.look)
        found = await run_in_threadpool(answer, watch, request.path_params["question"])
        if found is None:
            return PlainTextResponse("there is no such run or sweep", 404)
        return await run_in_threadpool(as_json, request, *found)

    def page(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in (*MODULES, "style.css"):
            return PlainTextResponse("there is no such file", 404)
        headers = {"Cache-Control": "no-cache"}
        return FileResponse(PAGE / name, media_type=_TYPES[Path(name).suffix], headers=headers)

    def library(request: Request) -> Response:
        headers = {"Cache-Control": "max-age=86400"}
        return FileResponse(plotly(), media_type="text/javascript", headers=headers)

    def picture(request: Request) -> Response:
        if (path := given_out(root, request.path_params["name"])) is None:
            return PlainTextResponse("there is no such file, or it is not given out", 404)
        return FileResponse(path, headers={"Cache-Control": "no-cache"})

    def first(request: Request) -> Response:
        style = f'{_EMPTY_ICON}<link rel="stylesheet" href="/page/style.css">'
        return HTMLResponse(index(style, "", import_map(False), html.escape(root.name)))

    headers = {
        "Content-Security-Policy": policy(import_map(False), START),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    return Starlette(
        routes=[
            Route("/", first),
            Route("/api/runs", runs),
            Route("/api/{question:path}", about),
            Route("/page/{name}", page),
            Route("/plotly.js", library),
            Route("/files/{name:path}", picture),
        ],
        middleware=[
            Middleware(Guard, host=host, token=token, port=port, headers=headers),
            Middleware(GZipMiddleware, minimum_size=2000, compresslevel=1),
        ],
    )
