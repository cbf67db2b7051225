"""`madang report`, `madang run diff` and `madang run export`: the morning after."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from madang import follow
from madang.client import Client, Problem
from madang.messages import t
from madang.tables import Json, cell, plain, show, show_json

_SLOW = 240  # seconds: notebooks of many megabytes are read, and others may be before us
_MARKS = {"added": "+", "removed": "-", "changed": "~", "same": " "}

RunId = Annotated[str, typer.Argument(metavar="ID", help="The run's id, or the beginning of it.")]


# ---- the report ---------------------------------------------------------------------------------


def report(
    since: Annotated[str, typer.Option(help="12h, 7d, or a date, 2026-11-23.")] = "24h",
    until: Annotated[str, typer.Option(help="The same. [default: now]")] = "",
    user: Annotated[str, typer.Option("--for", help="Whose (operators).")] = "",
    html: Annotated[str, typer.Option("--html", metavar="FILE", help=(
        "As a page, of one person's runs with their pictures; - is the terminal."))] = "",
    as_json: Json = False,
) -> None:
    """What ran since, what failed where, what it took, and its figures."""
    asked = {"since": since, **({"until": until} if until else {}), **_user(user)}
    if html and as_json:
        raise Problem(t("one of --html and --json"))
    if html:
        page = {"format": "html", **asked}
        _write(html, Client().text("report", params=page, timeout=_SLOW))
        return
    found = Client().call("GET", "report", params=asked, timeout=_SLOW)
    if as_json:
        show_json(found)
        return
    print(t(
        "{since} - {until}: {well} succeeded, {wrong} went wrong, {still} not ended yet",
        since=cell(found["since"]), until=cell(found["until"]),
        well=found["counts"].get("succeeded", 0),
        wrong=sum(n for x, n in found["counts"].items() if x not in ("succeeded", "cancelled")),
        still=sum(found["still"].values()),
    ))
    for one in found["runs"]:
        _tell_failure(one)
    if found["runs"]:
        print()
        show([_row(x) for x in found["runs"]], _COLUMNS, as_json=False, none="")
    for one in found["unrun"]:
        print(t("{name} did not run at {slot}: {why}", name=plain(one["name"]),
                slot=one["slot"].replace("T", " "), why=plain(one["message"])))
    for sweep in found["sweeps"]:
        counts = ", ".join(f"{n} {stage}" for stage, n in sweep["counts"].items())
        print(t("sweep {id} of {notebook}: {counts}", id=sweep["id"],
                notebook=plain(sweep["notebook"]), counts=counts))


_COLUMNS = {
    "ID": "id", "NOTEBOOK": "notebook", "USER": "user", "STAGE": "stage", "ENDED": "ended_at",
    "TOOK": "took", "SLICE": "slice", "MEMORY": "memory", "GPU MEMORY": "gpu", "FIGURES": "figures",
}


def _row(one: Mapping[str, Any]) -> dict[str, Any]:
    run, took = one["run"], one["seconds"]
    return {
        **run, "notebook": plain(run["notebook"]),
        "took": "" if took is None else follow.lasted(took),
        "memory": _mib(run["memory_peak_mib"]), "gpu": _mib(run["gpu_memory_peak_mib"]),
        "figures": ", ".join(_figure(x) for x in one["figures"][:8]),
    }


def _tell_failure(one: Mapping[str, Any]) -> None:
    run = one["run"]
    if not one["lines"] and one["cell"] is None and not one["error"]:
        return
    where = t("cell {cell}/{cells}", cell=one["cell"], cells=run["cells"]) if one["cell"] else ""
    said = [run["id"], plain(run["notebook"]), where, plain(one["error"] or run["message"])]
    print("\n" + "  ".join(x for x in said if x))
    for line in one["lines"]:
        print(f"    {plain(line)}")


# ---- two runs -----------------------------------------------------------------------------------


def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="The earlier run.")],
    after: Annotated[str, typer.Argument(metavar="B", help="The later run.")],
    as_json: Json = False,
) -> None:
    """What differs between two runs: parameters, figures, and the notebook cell by cell."""
    found = Client().call("GET", f"runs/{before}/diff/{after}", timeout=_SLOW)
    if as_json:
        show_json(found)
        return
    for title, figures in (
        (t("parameters that differ"), found["parameters"]), (t("figures"), found["figures"]),
    ):
        if figures:
            print(f"{title}:")
            columns = {"NAME": "name", "BEFORE": "before", "NOW": "value", "CHANGE": "change"}
            show([_compared(x) for x in figures], columns, as_json=False, none="")
            print()
    _show_cells(found["notebook"])


def _show_cells(found: Mapping[str, Any]) -> None:
    if not found["cells"]:
        print(t("the notebook and its outputs are as before"))
        return
    print(t(
        "cells: {changed} changed, {added} new, {removed} removed, {same} with the same source; "
        "outputs of {outputs} differ",
        **{k: found[k] for k in ("changed", "added", "removed", "same", "outputs")},
    ))
    for one in found["cells"]:
        words = [t("outputs differ")] if one["outputs"] else []
        pictures = [len(x) for x in one["pictures"]]
        if any(pictures):
            words.append(t("pictures: {before} before, {now} now", before=pictures[0],
                           now=pictures[1]))
        place = t("cell {place}", place=one["after"] or one["before"])
        print(f"\n{_MARKS[one['fate']]} {place}  {', '.join(words)}".rstrip())
        for line in one["lines"]:
            print(f"    {line['mark']} {plain(line['text'])}".rstrip())


# ---- a run as a file ----------------------------------------------------------------------------


def export(
    id: RunId,
    file: Annotated[str, typer.Argument(
        metavar="[FILE]", help="- is the terminal. [default: named after the run]")] = "",
    html: Annotated[bool, typer.Option("--html", help="A page in which nothing runs.")] = False,
) -> None:
    """Write a run's notebook to a file: as it is, or as a page to read and hand on."""
    client = Client()
    run = client.call("GET", f"runs/{id}")
    path, ending = ("export", "html") if html else ("output", "ipynb")
    text = client.text(f"runs/{run['id']}/{path}", timeout=_SLOW)
    stem = Path(plain(run["notebook"])).stem.lstrip(".") or "notebook"
    _write(file or f"{stem}-{run['id']}.{ending}", text)


def _write(file: str, text: str) -> None:
    """Into a file, or to the terminal."""
    if file == "-":
        sys.stdout.write(text)
        return
    target = Path(file)
    try:
        target.write_text(text, encoding="utf-8", newline="")
    except OSError as e:
        raise Problem(t(
            "cannot write {path}: {error}", path=target, error=e.strerror or e
        )) from e
    print(t("written: {path}", path=target))


# ---- words --------------------------------------------------------------------------------------


def _user(user: str) -> dict[str, str]:
    return {"user": user} if user else {}


def _mib(found: int | None) -> str:
    return "" if found is None else f"{found} MiB"


def _value(found: object) -> str:
    if isinstance(found, int | float) and not isinstance(found, bool):
        return f"{found:.4g}"
    return "" if found is None else plain(str(found))


def _change(one: Mapping[str, Any]) -> str:
    if one["change"] is None:
        return ""
    part = f" ({one['part']:+.1%})" if one["part"] is not None else ""
    return f"{one['change']:+.4g}{part}" if one["change"] else "="


def _figure(one: Mapping[str, Any]) -> str:
    change = _change(one)
    return f"{plain(one['name'])}={_value(one['value'])}" + (f" {change}" if change else "")


def _compared(one: Mapping[str, Any]) -> dict[str, str]:
    return {
        "name": plain(one["name"]), "before": _value(one["before"]), "value": _value(one["value"]),
        "change": _change(one),
    }
