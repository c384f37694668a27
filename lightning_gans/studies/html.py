"""A comparison as one HTML file, in which every number leads to its runs, config and command."""

import base64
import hashlib
import html
import io
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import yaml
from PIL import Image

from lightning_gans.runs.reading import read_sittings
from lightning_gans.runs.settings import read_config
from lightning_gans.studies.collect import Number, Run
from lightning_gans.studies.markdown import RULES, cost_rows, entry_text, head_text, statements
from lightning_gans.studies.tables import Table

__all__ = ["report"]

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --line: #8886; --quiet: #7778; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 78rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; }
th, td { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
td a { color: inherit; text-decoration-color: var(--quiet); }
.wide { overflow-x: auto; } img { max-width: 100%; background: #fff; }
code, pre { font-size: 13px; }
pre { overflow-x: auto; border: 1px solid var(--line); padding: .6rem; }
.in { padding-left: 1.5rem; }
.quiet { opacity: .75; font-size: 14px; } h2 { margin-top: 2.2rem; }
:target { outline: 2px solid #0072b2; outline-offset: 4px; }
"""


def report(
    title: str,
    head: Sequence[str],
    tables: Sequence[Table],
    runs: Sequence[Run],
    numbers: Sequence[Number],
    figures: Mapping[str, Path],
    folder: Path,
) -> str:
    """The page.

    Args:
        title: Of the comparison.
        head: What is told of it first, a line each.
        tables: It.
        runs: All runs, the failed ones too.
        numbers: All that was measured.
        figures: Pictures, by what they show.
        folder: Where the page will lie.
    """
    say = html.escape
    failed = [run for run in runs if run.state == "failed"]
    parts = [
        f"<h1>{say(title)}</h1>",
        "<p class=quiet>" + "<br>".join(map(say, head)) + "</p>",
        f"<p class=quiet>{say(RULES)} Every number leads to its runs.</p>",
    ]
    if failed:
        told = "".join(
            f"<li>{say(r.data)}, {say(r.model)}, seed {r.seed}: {say(r.message)}" for r in failed
        )
        parts.append(f"<h2>Failed runs</h2><ul>{told}</ul>")
    for table in tables:
        parts.append(f"<h2>{say(table.data)}</h2>{_table(table)}{_statements(table)}")
    parts.append(f"<h2>Cost of a run</h2>{_plain(cost_rows(tables))}")
    for name, path in figures.items():
        parts.append(f"<h2>{say(name)}</h2><img alt='{say(name)}' src='{_data(path)}'>")
    parts.append("<h2>Runs</h2>")
    for table in tables:
        for model in table.models:
            own = [r for r in runs if (r.data, r.model) == (table.data, model)]
            parts.append(_runs(table, model, own, numbers, folder))
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        "<meta name=viewport content='width=device-width'>"
        f"<title>{say(title)}</title><style>{_STYLE}</style>{''.join(parts)}</html>\n"
    )


def _anchor(data: str, model: str) -> str:
    """Where the runs of a model on a data set stand; no two share it."""
    return "runs-" + hashlib.sha256(f"{data}\n{model}".encode()).hexdigest()[:12]


def _table(table: Table) -> str:
    heads = "".join(
        f"<th title='{html.escape(c.protocol)}'>{html.escape(head_text(c))}" for c in table.columns
    )
    rows = []
    for model in table.models:
        link = f"<a href='#{_anchor(table.data, model)}'>"
        cells = []
        for column in table.columns:
            if (entry := column.entries.get(model)) is None:
                cells.append("<td>–")
                continue
            text = html.escape(entry_text(entry))
            text = f"<b>{text}</b>" if entry.good else text
            cells.append(f"<td>{link}{text}</a>")
        rows.append(f"<tr><td>{html.escape(model)}{''.join(cells)}")
    return f"<div class=wide><table><tr><th>model{heads}{''.join(rows)}</table></div>"


def _plain(rows: Sequence[Sequence[str]]) -> str:
    """A table of these rows, the first of which is its head."""
    first, *others = ([html.escape(cell) for cell in row] for row in rows)
    body = "".join(f"<tr><td>{'<td>'.join(row)}" for row in others)
    return f"<div class=wide><table><tr><th>{'<th>'.join(first)}{body}</table></div>"


def _statements(table: Table) -> str:
    """The same words as in Markdown, whose only marks here are bold and lists."""
    items = []
    for line in html.escape(statements(table), quote=False).splitlines():
        depth, text = line.split("* ", 1)
        text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
        items.append(f"<div class=in>{text}</div>" if depth else f"<li>{text}")
    return f"<ul>{''.join(items)}</ul>"


def _runs(
    table: Table, model: str, runs: Sequence[Run], numbers: Sequence[Number], folder: Path
) -> str:
    say = html.escape
    heads = "".join(f"<th>{say(column.metric)}" for column in table.columns)
    rows, commands = [], []
    for run in runs:
        own = {(n.metric, n.protocol): n for n in numbers if n.run == run.path}
        cells = "".join(f"<td>{_value(own.get((c.metric, c.protocol)))}" for c in table.columns)
        # What failed before its first batch has no folder of its own, only its log.
        there = Path(run.path) if Path(run.path).is_dir() else Path(run.path).parent / "log.txt"
        where = os.path.relpath(there, folder) + "/" * there.is_dir()
        link = f"<a href='{say(quote(where))}'>{say(where)}</a>"
        rows.append(f"<tr><td>{say(run.seed)}{cells}<td>{link}<td>{say(run.state)}")
        typed = [s["command"] for s in read_sittings(Path(run.path))[:1] if "command" in s]
        commands += [shlex.join(map(str, each)) for each in typed]
    configs = ((run.seed, read_config(Path(run.path))) for run in runs)
    seed, content = next((pair for pair in configs if pair[1]), (runs[0].seed, {}))
    config = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    return (
        f"<section id='{_anchor(table.data, model)}'><h3>{say(table.data)}: {say(model)}</h3>"
        f"<div class=wide><table><tr><th>seed{heads}<th>run<th>state{''.join(rows)}</table></div>"
        f"<pre>{say(chr(10).join(commands))}</pre>"
        f"<details><summary>config of seed {say(seed)}</summary><pre>{say(config)}</pre>"
        "</details></section>"
    )


def _value(number: Number | None) -> str:
    if number is None or number.value is None:
        return "–"
    if number.low is None:
        return f"{number.value:.5g}"
    return f"<span title='{number.low:.5g} to {number.high:.5g}'>{number.value:.5g}</span>"


def _data(path: Path) -> str:
    """A picture as an address that holds it."""
    with Image.open(path) as picture:
        picture.convert("RGB").save(packed := io.BytesIO(), "WEBP", lossless=True, method=4)
    return f"data:image/webp;base64,{base64.b64encode(packed.getvalue()).decode()}"
