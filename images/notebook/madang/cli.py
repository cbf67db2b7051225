"""The command `madang`: slices, the line and runs, from a terminal in Lab or on the host.

Exit codes of every command: 0 done; 2 refused, or a mistake in what was typed; 3 Madang is not
reached. `madang run submit` and `madang run logs -f` end as the run did: 0 succeeded, 1 a cell
raised, 75 interrupted or cancelled, 124 time-out, 137 out of memory or killed, 138 the kernel died.
"""

import ast
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from madang.client import Client, Problem

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Madang: slices of GPUs, the line, and runs of notebooks.",
)
run = typer.Typer(
    no_args_is_help=True,
    help="Submit notebooks and follow them.\n\nExit codes of submit and logs -f: 0 succeeded, "
    "1 a cell raised, 2 refused, 3 Madang not reached, 75 interrupted or cancelled, "
    "124 time-out, 137 out of memory or killed, 138 the kernel died.",
)
lease = typer.Typer(no_args_is_help=True, help="End a lease.")
app.add_typer(run, name="run")
app.add_typer(lease, name="lease")

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_ENDS = {
    "succeeded": 0, "failed": 1, "cancelled": 75, "interrupted": 75, "timed-out": 124,
    "out-of-memory": 137, "lost": 137, "kernel-died": 138,
}
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def main() -> None:
    """Run the command line; a problem is one line and its exit code, never a traceback."""
    try:
        app()
    except Problem as e:
        typer.echo(f"madang: {e}", err=True)
        raise SystemExit(e.code) from e


# ---- looking ------------------------------------------------------------------------------------


def _show(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, as_json: bool, none: str) -> None:
    """Rows as a table of `columns` (title → key), or as JSON with every key."""
    if as_json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    if not rows:
        print(none)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in columns:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(key)) for key in columns.values()))
    # a pipe has no width: cutting at 80 would hide what a script looks for
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _cell(value: object) -> str:
    if value is None or value == "":
        return "–"
    text = str(value)
    return text[:16].replace("T", " ") if re.match(r"\d{4}-\d\d-\d\dT\d\d:", text) else text


@app.command()
def slices(json: JsonFlag = False) -> None:
    """All slices: which are free, and whose the others are (operators)."""
    columns = {
        "GPU": "gpu_index", "PROFILE": "profile", "SLOT": "start", "STATE": "state",
        "MEMORY MiB": "memory_mib", "USED MiB": "used_mib", "USER": "user", "CARD": "gpu_name",
    }
    _show(Client().call("GET", "slices"), columns, as_json=json, none="no slice has been seen yet")


@app.command()
def offers(json: JsonFlag = False) -> None:
    """The sizes that can be asked for."""
    columns = {
        "PROFILE": "profile", "CARD": "gpu_name", "MEMORY MiB": "memory_mib", "FREE": "free",
        "OF": "total", "WAITING": "waiting",
    }
    _show(Client().call("GET", "offers"), columns, as_json=json, none="no slice has been seen yet")


@app.command()
def leases(
    json: JsonFlag = False,
    all: Annotated[bool, typer.Option("--all", help="Ended ones too.")] = False,  # noqa: A002
) -> None:
    """Your leases; an operator's are everybody's."""
    columns = {
        "ID": "id", "USER": "user", "KIND": "kind", "PROFILE": "profile", "STAGE": "stage",
        "SLICE": "slice", "SINCE": "asked_at", "CAUSE": "cause",
    }
    found = Client().call("GET", "leases", params={"all": "true"} if all else {})
    _show(found, columns, as_json=json, none="no leases")


@app.command()
def line(json: JsonFlag = False) -> None:
    """Who waits, oldest first."""
    columns = {
        "PLACE": "position", "PROFILE": "profile", "KIND": "kind", "USER": "user", "SINCE": "asked_at"
    }
    _show(Client().call("GET", "line"), columns, as_json=json, none="nobody waits")


@app.command()
def whoami(json: JsonFlag = False) -> None:
    """Who Madang takes you for."""
    me = Client().call("GET", "me")
    _show([me], {"NAME": "name", "OPERATOR": "is_operator", "GROUPS": "groups"}, as_json=json, none="")


@lease.command("end")
def lease_end(id: str) -> None:
    """End a lease, or leave the line."""
    ended = Client().call("DELETE", f"leases/{id}")
    print(f"lease {ended['id']}: {ended['stage']}")


# ---- runs ---------------------------------------------------------------------------------------


@run.command("submit")
def submit(  # noqa: PLR0913 - each is an option of the command
    notebook: Path,
    profile: Annotated[str, typer.Option(help="Size of the slice; see `madang offers`.")],
    parameter: Annotated[list[str] | None, typer.Option(
        "-p", "--parameter", help="NAME=VALUE; numbers, true, lists as in JSON or Python.")] = None,
    parameters: Annotated[Path | None, typer.Option(
        "-P", "--parameters", help="A JSON file of parameters.")] = None,
    image: Annotated[str, typer.Option(help="One of the allowed images.")] = "",
    timeout: Annotated[str, typer.Option(help="Longest time: 90, 30m, 3h.")] = "",
    user: Annotated[str, typer.Option("--for", help="Whose run it is (operators).")] = "",
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Do not wait for it.")] = False,
    json: JsonFlag = False,
) -> None:
    """Run a notebook on a slice; waits in the line like everybody, and follows it to the end."""
    client = Client()
    made = client.call("POST", "runs", json={
        "notebook_name": notebook.name, "notebook": _notebook(notebook), "profile": profile,
        "parameters": {**_file(parameters), **_pairs(parameter or [])}, "image": image,
        "timeout": _seconds(timeout), "cwd": _inside_home(notebook), **({"user": user} if user else {}),
    })
    if detach:
        _show([made], _RUN_COLUMNS, as_json=json, none="")
        return
    if not json:
        typer.echo(f"run {made['id']}: outputs go to {made['folder']}")
    raise typer.Exit(_follow(client, made["id"], quiet=json, as_json=json))


_RUN_COLUMNS = {
    "ID": "id", "NOTEBOOK": "notebook", "USER": "user", "PROFILE": "profile", "STAGE": "stage",
    "CELLS": "cells_text", "ASKED": "asked_at", "MESSAGE": "message",
}


@run.command("list")
def run_list(
    json: JsonFlag = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
) -> None:
    """Your runs, newest first; an operator's are everybody's."""
    found = Client().call("GET", "runs", params={"limit": limit})
    for x in found:
        x["cells_text"] = f"{x['cells_done']}/{x['cells']}" if x["cells"] else ""
    _show(found, _RUN_COLUMNS, as_json=json, none="no runs yet: madang run submit NOTEBOOK --profile …")


@run.command("show")
def show(id: str, json: JsonFlag = False) -> None:
    """Everything that is known of a run."""
    found = Client().call("GET", f"runs/{id}")
    if json:
        _show(found, {}, as_json=True, none="")
        return
    for key, value in found.items():
        if value not in (None, "", {}):
            print(f"{key.replace('_', ' '):12s} {value}")


@run.command("logs")
def logs(id: str, follow: Annotated[bool, typer.Option("-f", "--follow")] = False) -> None:
    """What a run has printed."""
    client = Client()
    if follow:
        raise typer.Exit(_follow(client, id))
    print(client.text(f"runs/{id}/logs"), end="")


@run.command("cancel")
def cancel(id: str) -> None:
    """Take a run out of the line, or interrupt it: it saves what it has."""
    found = Client().call("DELETE", f"runs/{id}")
    print(f"run {found['id']}: {found['stage']}")


def _follow(client: Client, id: str, *, quiet: bool = False, as_json: bool = False) -> int:
    """Print a run as it goes until it ends; its end as an exit code."""
    found: dict[str, Any] = {"id": id, "stage": "", "message": ""}
    say = _Teller(client, quiet=quiet)
    try:
        for event, data in client.events(f"runs/{id}/events"):
            if event == "run":
                found = data
                say.stage(data)
            elif event == "log" and not quiet:
                say.log(data)
            elif event == "end":
                break
    except KeyboardInterrupt:
        typer.echo(
            f"\nrun {id} goes on without you. Follow it: madang run logs -f {id}   "
            f"End it: madang run cancel {id}", err=True,
        )
        return 130
    if found["stage"] not in _ENDS:
        found = client.call("GET", f"runs/{id}")
    if as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        typer.echo(f"run {found['id']}: {found['stage']}. {found['message']}".rstrip())
    return _ENDS.get(found["stage"], 3)


class _Teller:
    """Says each change once: the place in the line, the stage, the cells, the log."""

    def __init__(self, client: Client, *, quiet: bool) -> None:
        self._client, self._quiet, self._last = client, quiet, ""

    def stage(self, found: Mapping[str, Any]) -> None:
        text = str(found["stage"])
        if text == "waiting":
            mine = [x for x in self._client.call("GET", "line") if x.get("id") == found["id"]]
            text += f": number {mine[0]['position']} in the line" if mine else ""
        elif found["cells"]:
            text += f": cell {found['cells_done']}/{found['cells']}"
        if text != self._last and not self._quiet:
            typer.echo(f"[{text}]")
        self._last = text

    def log(self, text: str) -> None:
        own = [x for x in text.splitlines(keepends=True) if not x.startswith("madang: cell ")]
        sys.stdout.write("".join(own))
        sys.stdout.flush()


# ---- what was typed -----------------------------------------------------------------------------


def _notebook(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise Problem(f"there is no file {path}") from e
    except (OSError, UnicodeDecodeError) as e:
        raise Problem(f"cannot read {path}: {e}") from e
    except json.JSONDecodeError as e:
        raise Problem(f"{path} is not a notebook: not JSON (line {e.lineno}: {e.msg})") from e
    if not isinstance(found, dict):
        raise Problem(f"{path} is not a notebook: it holds no object")
    return found


def _file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise Problem(f"cannot read parameters from {path}: {e}") from e
    if not isinstance(found, dict):
        raise Problem(f"{path} must hold one JSON object of names and values")
    return found


def _pairs(pairs: Sequence[str]) -> dict[str, Any]:
    values = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier():
            raise Problem(f"-p wants NAME=VALUE, not {pair!r}")
        values[name] = _value(text)
    return values


def _value(text: str) -> Any:
    """JSON, else a Python literal that JSON can hold, else the text itself."""
    tries: tuple[Callable[[str], Any], ...] = (json.loads, ast.literal_eval)
    for parse in tries:
        try:
            value = parse(text)
            json.dumps(value)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        return value
    return text


def _seconds(text: str) -> int:
    if not text:
        return 0
    found = re.fullmatch(r"(\d+)([smhd]?)", text)
    if not found or not int(found[1]):
        raise Problem(f"--timeout wants seconds or 30m, 3h, 1d, not {text!r}")
    return int(found[1]) * _UNITS[found[2]]


def _inside_home(notebook: Path) -> str:
    """The notebook's folder below the home; "" on the host, where homes are elsewhere."""
    home = Path(os.environ.get("HOME", "/"))
    folder = notebook.absolute().parent
    in_server = "JUPYTERHUB_USER" in os.environ and folder.is_relative_to(home)
    return str(folder.relative_to(home)) if in_server else ""


if __name__ == "__main__":
    main()
