"""Rows as a table that is right in width also in Korean, or as JSON."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

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
        table.add_row(*(Text(_cell(row.get(key))) for key in columns.values()))
    Console(width=None if sys.stdout.isatty() else _WIDE, soft_wrap=False).print(table)


def show_json(value: object) -> None:
    """Print a value as JSON, letters of all languages as they are."""
    print(json.dumps(value, indent=1, ensure_ascii=False))


def moment(text: str) -> str:
    """A moment of the service's as this terminal's clock shows it (the variable TZ says which)."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{at.astimezone() if at.tzinfo else at:%Y-%m-%d %H:%M}"


def span(begins: str | None, ends: str | None) -> str:
    """From one moment to another, the day said once where it is the same; "" without them."""
    if not begins or not ends:
        return ""
    first, last = moment(begins), moment(ends)
    return f"{first} - {last[11:] if last[:10] == first[:10] else last}"


def _cell(value: object) -> str:
    if value in (None, "", []):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    text = str(value)
    return moment(text) if _TIME.match(text) else text
