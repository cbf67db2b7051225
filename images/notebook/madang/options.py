"""What `run submit` and `schedule add` both take, and the body that it makes for the service."""

from pathlib import Path
from typing import Annotated, Any

import typer

from madang import sweeps, typed

Notebook = Annotated[Path, typer.Argument(metavar="NOTEBOOK")]
Profile = Annotated[str, typer.Option(help="Size of the slice; see `madang offers`.")]
Parameter = Annotated[list[str] | None, typer.Option(
    "-p", "--parameter", metavar="NAME=VALUE",
    help="Numbers, true, lists as in JSON or Python; all else is text.")]
Parameters = Annotated[Path | None, typer.Option(
    "-P", "--parameters", help="A JSON or YAML file of parameters.")]
Sweep = Annotated[list[str] | None, typer.Option(
    "--sweep", metavar="NAME=VALUES",
    help="Run it with each of them, and every combination: lr=0.1,0.01 seed=0..4")]
Image = Annotated[str, typer.Option(help="One of the allowed images.")]
Timeout = Annotated[str, typer.Option(help="Longest time: 90, 30m, 3h, 1h30m.")]
Retries = Annotated[int, typer.Option(
    min=0, max=10, help="Tries after an end that is the machine's, not the notebook's.")]
Cwd = Annotated[str | None, typer.Option(
    help="Folder in your home to run in. [default: a copy of the notebook's]")]
Snapshot = Annotated[bool, typer.Option(
    "--snapshot/--no-snapshot", help="Run in a copy of the notebook's folder as it is now, "
    "or in the folder itself.")]
Group = Annotated[str, typer.Option(
    help="In which group's name; see `madang whoami`. [default: the first of yours]")]
Secret = Annotated[list[str] | None, typer.Option(
    "--secret", metavar="NAME", help="A secret that the operator keeps: the file "
    "/run/secrets/NAME. May be repeated.")]
Notify = Annotated[list[str] | None, typer.Option(
    "--notify", metavar="PLACE", help="Where to tell that it has ended: https://…, "
    "mailto:NAME@DOMAIN, ntfy://TOPIC. May be repeated; of a sweep it is told once.")]
For = Annotated[str, typer.Option("--for", help="Whose run it is (operators).")]


def body(  # noqa: PLR0913 - each is an option of the command
    notebook: Path, *, profile: str, parameter: list[str] | None, parameters: Path | None,
    sweep: list[str] | None, image: str, timeout: str, retries: int, cwd: str | None,
    snapshot: bool, group: str, user: str, secret: list[str] | None, notify: list[str] | None,
) -> tuple[dict[str, Any], str]:
    """(what is sent, a line for the person or ""); `sweep` is in it only where there is one.

    Raises:
        Problem: what was typed is none of it.
    """
    asked: dict[str, Any] = {
        "notebook_name": notebook.name, "notebook": typed.notebook(notebook), "profile": profile,
        "parameters": typed.parameters(parameters, parameter or []), "image": image,
        "timeout": typed.seconds(timeout),
    }
    swept = sweeps.values(sweep or [])
    given = (
        ("user", user), ("group", group), ("retries", retries), ("sweep", swept),
        ("secrets", secret), ("notify", notify),
    )
    where, note = typed.place(notebook, cwd, snapshot=snapshot)
    return asked | where | {k: x for k, x in given if x}, note
