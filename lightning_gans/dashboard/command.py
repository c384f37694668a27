"""``lightning dashboard``: its options, and what they cannot be."""

import argparse
import re
import secrets
import socket
import sys
import threading
from pathlib import Path
from typing import NoReturn

from lightning_gans.dashboard.guard import is_loopback
from lightning_gans.dashboard.watch import Watch
from lightning_gans.errors import InputError
from lightning_gans.runs.reading import find_runs

__all__ = ["run"]

_NEWEST = 50
_PORTS_TRIED = 50


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Bad options are the user's to mend, in one line."""
        raise InputError(f"{message}; see lightning dashboard --help")


def _options(args: list[str]) -> argparse.Namespace:
    parser = _Parser(
        prog="lightning dashboard",
        description="Show all runs and sweeps of a folder on a page, read live from its files.",
    )
    add = parser.add_argument
    add("folder", nargs="?", default="runs", help="of all runs (default: runs)")
    add("--port", type=int, default=8090, help="default: 8090")
    add(
        "--host",
        default="127.0.0.1",
        help="whom it answers: who is logged in on this machine; others need a token",
    )
    add("--token", help="what who opens the page must know; made up where one is needed")
    add("--export", metavar="FILE.html", help="write the page as one file instead, and end")
    add("--runs", nargs="+", default=[], metavar="RUN", help="to export: ring, dcgan/version_3, …")
    add("--newest", type=int, help=f"runs to export (default: {_NEWEST})")
    return parser.parse_args(args)


def _check(options: argparse.Namespace) -> None:
    """Raise InputError for options that cannot be meant."""
    if options.token is not None and not re.fullmatch(r"[\w-]{8,}", options.token, re.ASCII):
        raise InputError("--token must have at least 8 characters, each a letter, digit, _ or -")
    if options.newest is not None and options.newest < 1:
        raise InputError(f"--newest {options.newest} exports nothing; it must be at least 1")
    if options.export is None:
        for name in ("runs", "newest"):
            if getattr(options, name):
                raise InputError(f"--{name} chooses what to export; it takes --export FILE.html")
    elif not options.export or Path(options.export).is_dir():
        raise InputError(f"--export {options.export!r} is no file's name; it takes FILE.html")


def _folder(name: str) -> Path:
    if not name:
        raise InputError("the folder's name is empty; give that of all runs, usually runs/")
    folder = Path(name)
    if not folder.is_dir():
        told = "is a file" if folder.exists() else "does not exist"
        raise InputError(f"{folder} {told}; lightning dashboard takes the folder of all runs")
    return folder.resolve()


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens, or what is wrong with the address."""
    if not 0 <= port < 65536:
        raise InputError(f"--port {port} is no port; it must be between 0 and 65535")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise InputError(f"--host {host} is no name or address of this machine") from error
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        listening.close()
        free = next((n for n in range(port + 1, port + _PORTS_TRIED) if _is_free(host, n)), None)
        hint = f"; --port {free} is free" if free else ""
        raise InputError(f"{host}:{port} cannot be had ({error.strerror}){hint}") from error
    return listening


def _is_free(host: str, port: int) -> bool:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.bind(address)
    except (OSError, OverflowError):
        return False
    return True


def run(args: list[str]) -> None:
    """Serve the page until Ctrl-C, or write it as one file.

    Raises:
        InputError: What the user gave cannot be used.
    """
    options = _options(args)
    _check(options)
    root = _folder(options.folder)
    there = next(find_runs(root), None) is not None
    if not there and any(root.iterdir()) and not (root / "sweeps").is_dir():
        raise InputError(
            f"{options.folder} holds no runs (<experiment>/version_<n>/config.yaml); "
            "lightning dashboard takes the folder of all runs, usually runs/"
        )
    watch = Watch(root)
    if options.export is not None:
        from lightning_gans.dashboard.export import chosen, export

        watch.look()
        runs = chosen(watch, options.runs, options.newest or _NEWEST)
        path = Path(options.export)
        size = export(watch, runs, path)
        left = len(watch.newest()) - len(runs)
        more = f" ({left} others left out; --runs and --newest choose)" if left else ""
        print(f"{path}: {len(runs)} runs{more}, {size / 1e6:.1f} MB, opens without a server")
        return
    _serve(watch, options)


def _serve(watch: Watch, options: argparse.Namespace) -> None:
    token = options.token
    if token is None and not is_loopback(options.host):
        token = secrets.token_urlsafe(24)
    listening = _listen(options.host, options.port)
    port = listening.getsockname()[1]
    # The runs are read while the server is loaded; the first request waits for them.
    threading.Thread(target=watch.look, daemon=True).start()
    import uvicorn

    from lightning_gans.dashboard.server import application

    host = socket.gethostname() if options.host in ("0.0.0.0", "::") else options.host
    host = f"[{host}]" if ":" in host else host
    app = application(watch, options.host, port, token)
    quiet = {"log_level": "warning", "server_header": False, "lifespan": "off"}
    server = uvicorn.Server(uvicorn.Config(app, timeout_graceful_shutdown=2, **quiet))
    secret = f"?token={token}" if token else ""
    print(
        f"dashboard of {watch.root}: http://{host}:{port}/{secret}   (Ctrl-C ends it)", flush=True
    )
    if token and not is_loopback(options.host):
        print("anyone with this address can look; it is not encrypted", file=sys.stderr)
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass
