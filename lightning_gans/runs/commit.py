"""Which commit of the code runs, where it is run from a checkout."""

import subprocess
from functools import cache
from pathlib import Path

__all__ = ["commit"]

_PACKAGE = Path(__file__).parent.parent
_PATIENCE = 10.0


@cache
def commit() -> str | None:
    """Its first digits, with -dirty if files differ from it; None outside a checkout of ours."""
    tracked = _git("ls-files", "--error-unmatch", "__init__.py")
    found = _git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    return found.strip() if tracked and found else None


def _git(*words: str) -> str:
    """What git says; empty if it is not here or has nothing to say."""
    try:
        done = subprocess.run(
            ["git", *words], cwd=_PACKAGE, capture_output=True, text=True, timeout=_PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
