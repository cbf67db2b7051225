"""Rows as a table that is right in width also in Korean, or as JSON."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from madang.clock import moment

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
_WIDE = 10_000  # a pipe has no width: what is cut at 80 is missing in a script


def show(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, as_json: bool, none: str
) -> None:
    """Print `columns` (title → key) of `rows`, or all as JSON; `none` where there are no rows."""
    if as_json:
        show_json(rows)
        return
    if not rows:
        print(none)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in columns:
        table.add_column(title, overflow="fold")
    for row in rows:
        # Text: a name like [red] is shown, not obeyed
        table.add_row(*(Text(cell(row.get(key))) for key in columns.values()))
    Console(width=None if sys.stdout.isatty() else _WIDE, soft_wrap=False).print(table)


def show_fields(found: Mapping[str, Any], *, width: int) -> None:
    """Print what is known of one thing, a line each; what is nothing is left out."""
    for key, value in found.items():
        title = key.replace("_", " ")
        if isinstance(value, dict):
            if value:
                print(title)
            for name, x in value.items():
                print(f"  {plain(name)} = {plain(json.dumps(x, ensure_ascii=False))}")
        elif value not in (None, "", []):
            print(f"{title:{width}s} {cell(value)}")


def show_json(value: object) -> None:
    """Print a value as JSON, letters of all languages as they are."""
    print(json.dumps(value, indent=1, ensure_ascii=False))


def cell(value: object) -> str:
    """A value as it stands in a table."""
    if value in (None, "", []):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return plain(", ".join(map(str, value)))
    text = str(value)
    return plain(moment(text) if _TIME.match(text) else text)


def plain(text: str) -> str:
    """What others wrote, on one line and without what a terminal would obey."""
    return "".join(x if x.isprintable() or x == "\t" else " " for x in str(text))
