"""The page itself: our own few files and plotly's, served as they are or put into one file."""

import base64
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

__all__ = ["MODULES", "PAGE", "START", "import_map", "index", "plotly"]

START = 'import "page/app.js";'
"""The page's one inline script."""

PAGE = Path(__file__).parent / "page"
MODULES = tuple(sorted(file.name for file in PAGE.glob("*.js")))


def plotly() -> Path:
    """Plotly's JavaScript, which its Python package brings; that need not be imported."""
    return Path(find_spec("plotly").origin).parent / "package_data" / "plotly.min.js"


@cache
def import_map(inline: bool) -> str:
    """Where the page's modules are: JSON from ``page/<file>`` to an address.

    Args:
        inline: Whether addresses hold the modules themselves, for a page that is one file.
    """

    def address(name: str) -> str:
        if not inline:
            return f"/page/{name}"
        content = base64.b64encode((PAGE / name).read_bytes()).decode()
        return f"data:text/javascript;base64,{content}"

    return json.dumps({"imports": {f"page/{name}": address(name) for name in MODULES}})


def index(style: str, scripts: str, modules: str, title: str) -> str:
    """The page's HTML.

    Args:
        style: HTML that brings the style sheet.
        scripts: HTML that brings plotly, or data, before the page's own modules.
        modules: The import map.
        title: The folder's name.
    """
    text = (PAGE / "index.html").read_text()
    filled = {
        "STYLE": style,
        "SCRIPTS": scripts,
        "MODULES": modules,
        "START": START,
        "TITLE": title,
    }
    for name, content in filled.items():
        text = text.replace(f"<!--{name}-->", content)
    return text
