"""`madang secret …` on the host: what runs may be given without anybody typing it into a notebook.

A value is read from standard input, never from the command line, which everybody on the machine
can see, and a shell writes down.
"""

import getpass
import json
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated

import typer

from hub import config, upkeep
from hub.core.secret import SHORTEST, Secret
from hub.errors import Refusal
from hub.handing import Handing

secret = typer.Typer(no_args_is_help=True, help=(
    "Keep secrets for runs, and say who may use them."))
Name = Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits and '_'.")]


def _handing() -> Handing:
    # late: the command line imports this module
    from hub.face import cli

    settings = config.load(cli.config_file())
    return Handing(settings, lambda: upkeep.roster(settings))


@secret.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print all secrets and who may use them; no values."""
    found = _handing().list()
    if as_json:
        print(json.dumps([asdict(x) for x in found], ensure_ascii=False, indent=2))
        return
    for one in found:
        print(f"{one.name:24} {_who(one)}{'  (variable too)' if one.env else ''}")
    if not found:
        typer.echo("no secrets yet: madang secret set NAME --group GROUP < FILE", err=True)


@secret.command("set")
def set_(
    name: Name,
    group: Annotated[list[str] | None, typer.Option(
        help="A group whose members may use it; may be repeated.")] = None,
    user: Annotated[list[str] | None, typer.Option(
        help="A person who may use it; may be repeated.")] = None,
    env: Annotated[bool, typer.Option(
        "--env", help="Give it to the notebook as the environment variable NAME too, not only as "
        "the file /run/secrets/NAME.")] = False,
    keep_value: Annotated[bool, typer.Option(
        "--keep-value", help="Leave the value; change who may use it.")] = False,
) -> None:
    """Keep a secret: its value is read from standard input, or asked for."""
    handing = _handing()
    wanted = Secret(name, tuple(group or ()), tuple(user or ()), env=env)
    value = handing.put(wanted, None if keep_value else _given(name))
    print(f"{name} is kept for {_who(wanted)}.")
    with suppress(Refusal):  # before the first start there is no roster
        for one in handing.strangers(wanted):
            typer.echo(f"madang: the roster knows nobody and no group called {one!r}", err=True)
    if len(value) < SHORTEST:
        typer.echo(f"madang: it is shorter than {SHORTEST} characters, so it is not masked in what "
                   "runs print", err=True)


@secret.command("remove")
def remove(name: Name) -> None:
    """Forget a secret; runs that begin later and ask for it fail."""
    _handing().remove(name)
    print(f"{name} is forgotten.")


def _given(name: str) -> bytes:
    if sys.stdin.isatty():
        return getpass.getpass(f"Value of {name} (it is not shown): ").encode()
    return sys.stdin.buffer.read()


def _who(one: Secret) -> str:
    return ", ".join([*(f"group {x}" for x in one.groups), *one.users])
