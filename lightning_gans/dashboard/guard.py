"""Who is answered: this machine's users, or who has the token; and which files are given out."""

import base64
import hashlib
import ipaddress
import secrets
import socket
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lightning_gans.dashboard.evaluated import EVALUATIONS
from lightning_gans.runs.files import inside

__all__ = ["Guard", "given_out", "is_loopback", "policy"]

_PICTURES = (".png", ".gif")
_TABLES = ("metrics.csv", *(f"{kind}.jsonl" for kind in EVALUATIONS))


def is_loopback(host: str) -> bool:
    """Whether a host name is this machine, as seen from itself alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def given_out(root: Path, name: str) -> Path | None:
    """The file ``name`` below ``root`` that may be given out, None if it may not.

    Only pictures, and tables of numbers, are; wherever a link leads, it must be to one of them.

    Args:
        root: The folder of all runs, resolved.
        name: Relative to it, as it came with a request.
    """
    if "\\" in name or not _is_given_out(name.rpartition("/")[2]):
        return None
    if any(part == "" or part.startswith(".") for part in name.split("/")):
        return None
    path = inside(root, name)
    return path if path and _is_given_out(path.name) else None


def _is_given_out(file: str) -> bool:
    return file.endswith(_PICTURES) or file in _TABLES


def policy(*inline: str) -> str:
    """The Content-Security-Policy: only our own files; of inline scripts only ``inline``.

    Plotly writes its style sheet when it starts, hence inline styles; it needs no ``eval``.
    """
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in inline)
    scripts = " ".join(f"'sha256-{digest.decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


class Guard:
    """Refuses requests under another host's name, and without the token where there is one.

    A page elsewhere can have its own name point here (DNS rebinding), but not write another name
    or a plain address into the request: so only those are answered.

    Args:
        app: What answers.
        host: The name that is listened at.
        token: What a request must have, as ``?token=`` once and then as a cookie; None nothing.
        port: Part of the cookie's name: cookies of one host are the same for all its ports.
        headers: Added to every answer.
    """

    def __init__(
        self, app: ASGIApp, host: str, token: str | None, port: int, headers: dict[str, str]
    ) -> None:
        self._app, self._token = app, token
        self._names = {"localhost", host.lower(), socket.gethostname().lower()}
        self._cookie = f"lightning_dashboard_{port}"
        self._headers = [(key.encode(), value.encode()) for key, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self._headers]
            await send(message)

        answer = self._refusal(scope) or self._app
        await answer(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        if not self._is_named(headers.get("host", "")):
            return PlainTextResponse("this name is not the dashboard's", 421)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("the dashboard only shows", 405)
        if self._token is None:
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"))
        given = dict(query).get("token")
        if given is not None and self._is_token(given):
            rest = urlencode([(key, value) for key, value in query if key != "token"])
            answer = RedirectResponse(scope["path"] + (f"?{rest}" if rest else ""), 303)
            answer.set_cookie(self._cookie, self._token, httponly=True, samesite="lax")
            return answer
        # By hand: http.cookies gives up at another program's that is not as it should be.
        cookies = (part.strip().partition("=") for part in headers.get("cookie", "").split(";"))
        if any(name == self._cookie and self._is_token(value) for name, _, value in cookies):
            return None
        told = "the dashboard needs its token: open the address that it printed when it started"
        return PlainTextResponse(told, 401)

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), (self._token or "").encode())

    def _is_named(self, host: str) -> bool:
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name.lower() in self._names
        return True
