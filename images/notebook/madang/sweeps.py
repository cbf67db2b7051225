"""Sweeps on the command line: what was typed as values, the runs as a table, and following them."""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from madang import typed
from madang.client import Client, Problem
from madang.follow import ENDS, code_of
from madang.messages import t
from madang.tables import show, show_json

_RANGE = re.compile(r"(-?\d{1,9})\.\.(-?\d{1,9})")
_MOST = 1000
_POLL = 3.0  # seconds between two looks


def values(pairs: Sequence[str]) -> dict[str, list[Any]]:
    """`lr=0.1,0.01`, `seed=0..4`, `width=[[1, 2], [3]]` as names and lists of values.

    Raises:
        Problem: none of that, or one name twice.
    """
    found: dict[str, list[Any]] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        listed = _list(text.strip())
        if not equals or not name.isidentifier() or not listed:
            raise Problem(t("--sweep wants NAME=VALUE,VALUE or NAME=0..4, not {text}",
                            text=repr(pair)))
        if name in found:
            raise Problem(t("--sweep names {name} twice", name=name))
        found[name] = listed
    return found


def _list(text: str) -> list[Any]:
    if text.startswith("["):
        whole = typed.value(text)
        return whole if isinstance(whole, list) else []
    parts = [x.strip() for x in text.split(",")]
    if not all(parts):
        return []
    return [x for part in parts for x in _part(part)]


def _part(text: str) -> list[Any]:
    """One value, or the whole numbers of a range, both ends included."""
    found = _RANGE.fullmatch(text)
    if not found:
        return [typed.value(text)]
    first, last = int(found[1]), int(found[2])
    step = 1 if last >= first else -1
    if abs(last - first) >= _MOST:
        raise Problem(t("{text} has more than {most} values", text=text, most=_MOST))
    return list(range(first, last + step, step))


def table(sweep: Mapping[str, Any], *, as_json: bool) -> None:
    """The runs of a sweep with what they differ in, and the figures that they recorded."""
    runs = sweep["runs"]
    names = sweep["names"]
    figures = list(dict.fromkeys(
        k for x in runs for k, v in x["metrics"].items() if isinstance(v, int | float | str)
    ))
    columns = {
        "ID": "id", "STAGE": "stage", **{x: f"parameter {x}" for x in names},
        **{x if x not in names else f"{x} (recorded)": f"figure {x}" for x in figures},
    }
    rows = runs if as_json else [
        {"id": x["id"], "stage": x["stage"]}
        | {f"parameter {k}": _shown(v) for k, v in x["parameters"].items()}
        | {f"figure {k}": _shown(v) for k, v in x["metrics"].items()}
        for x in runs
    ]
    show(rows, columns, as_json=as_json, none="")


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def follow(client: Client, id: str, *, as_json: bool) -> int:
    """Say how far a sweep is, whenever that has changed, until all its runs have ended.

    The exit code: 0 where all have succeeded, else that of the first that has not.
    """
    said = ""
    while True:
        sweep = client.call("GET", f"sweeps/{id}")
        now = counts(sweep)
        if now != said and not as_json:
            typer.echo(now, err=True)
            said = now
        if all(x["stage"] in ENDS for x in sweep["runs"]):
            break
        time.sleep(_POLL)
    if as_json:
        show_json(sweep)
    else:
        table(sweep, as_json=False)
    bad = next((x for x in sweep["runs"] if x["stage"] != "succeeded"), None)
    return code_of(bad) if bad else 0


def counts(sweep: Mapping[str, Any]) -> str:
    """How many of its runs are in which stage."""
    found = ", ".join(f"{x} {stage}" for stage, x in sorted(sweep["counts"].items()))
    return t("sweep {id}: {counts}", id=sweep["id"], counts=found)
