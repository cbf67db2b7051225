"""The command `madang`: slices, the line, runs and the desk, from a terminal in Lab or the host.

Exit codes of every command: 0 done; 2 refused, or a mistake in what was typed; 3 Madang is not
reached. `madang run submit` and `madang run logs -f` end as the run did: see `ENDS` in follow.py.
"""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from madang import desk_cli, follow, lease_cli, typed
from madang.client import Client, Problem
from madang.messages import t
from madang.tables import Json, show, show_json

DETACHED = 130  # what a shell says of a command that was left with Ctrl-C
_RUN_HELP = """Submit notebooks and follow them.

\b
Exit codes of `submit` and `logs -f`:
    0  succeeded
    1  a cell raised an error, or the result could not be saved
    2  refused: no notebook, no such kernel, profile, image or parameter
    3  Madang is not reached (a run that was submitted goes on)
   75  cancelled or interrupted, after saving
  124  it took longer than its time limit
  130  you left with Ctrl-C; the run goes on
  137  killed from outside, or out of memory
  138  the kernel died
"""


class _Verbs(TyperGroup):
    """Says a problem in one line, wherever the verbs are: in the image, or among the host's."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Run the verb; a problem ends it with its exit code, never with a traceback."""
        try:
            return super().invoke(ctx)
        except Problem as e:
            typer.echo(f"madang: {e}", err=True)
            raise typer.Exit(e.code) from e


app = typer.Typer(
    cls=_Verbs, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    rich_markup_mode=None, help="Madang: slices of GPUs, the line, and runs of notebooks.",
)
run = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=_RUN_HELP)
app.add_typer(run, name="run", short_help="Submit notebooks and follow them.")
app.add_typer(lease_cli.lease, name="lease")
app.add_typer(desk_cli.reserve, name="reserve")
app.add_typer(desk_cli.group, name="group")
app.add_typer(desk_cli.slice_, name="slice")
app.command("leases")(lease_cli.leases)
app.command("line")(lease_cli.line)
app.command("usage")(desk_cli.usage)

RunId = Annotated[str, typer.Argument(metavar="ID", help="The run's id, or the beginning of it.")]


def main() -> None:
    """Run the command line."""
    app()


# ---- looking ------------------------------------------------------------------------------------


@app.command()
def slices(as_json: Json = False) -> None:
    """All slices: which are free, and whose the others are (operators)."""
    columns = {
        "GPU": "gpu_index", "PROFILE": "profile", "SLOT": "start", "STATE": "state",
        "MEMORY MiB": "memory_mib", "USED MiB": "used_mib", "USER": "user", "CARD": "gpu_name",
    }
    found = Client().call("GET", "slices")
    show(found, columns, as_json=as_json, none=t("no slice has been seen yet"))


@app.command()
def offers(as_json: Json = False) -> None:
    """The sizes that can be asked for."""
    columns = {
        "PROFILE": "profile", "CARD": "gpu_name", "MEMORY MiB": "memory_mib", "FREE": "free",
        "OF": "total", "WAITING": "waiting",
    }
    found = Client().call("GET", "offers")
    show(found, columns, as_json=as_json, none=t("no slice has been seen yet"))


@app.command()
def whoami(as_json: Json = False) -> None:
    """Who Madang takes you for."""
    me = Client().call("GET", "me")
    if as_json:
        show_json(me)
        return
    columns = {
        "NAME": "name", "OPERATOR": "is_operator", "GROUPS": "groups", "INSTRUCTS": "instructs",
    }
    show([me], columns, as_json=False, none="")


def _changed(text: str, found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(found)
    else:
        print(t(text, id=found["id"], stage=found["stage"]))


# ---- runs ---------------------------------------------------------------------------------------


@run.command("submit")
def submit(  # noqa: PLR0913, PLR0917 - each is an option of the command
    notebook: Annotated[Path, typer.Argument(metavar="NOTEBOOK")],
    profile: Annotated[str, typer.Option(help="Size of the slice; see `madang offers`.")],
    parameter: Annotated[list[str] | None, typer.Option(
        "-p", "--parameter", metavar="NAME=VALUE",
        help="Numbers, true, lists as in JSON or Python; all else is text.")] = None,
    parameters: Annotated[Path | None, typer.Option(
        "-P", "--parameters", help="A JSON or YAML file of parameters.")] = None,
    image: Annotated[str, typer.Option(help="One of the allowed images.")] = "",
    timeout: Annotated[str, typer.Option(help="Longest time: 90, 30m, 3h, 1h30m.")] = "",
    cwd: Annotated[str | None, typer.Option(
        help="Folder in your home to run in. [default: the notebook's]")] = None,
    user: Annotated[str, typer.Option("--for", help="Whose run it is (operators).")] = "",
    detach: Annotated[bool, typer.Option(
        "--detach", "--no-follow", "-d", help="Do not wait for it.")] = False,
    as_json: Json = False,
) -> None:
    """Run a notebook on a slice; it waits in the line like everybody, and you see it run."""
    client = Client()
    made = client.call("POST", "runs", json={
        "notebook_name": notebook.name, "notebook": typed.notebook(notebook), "profile": profile,
        "parameters": typed.parameters(parameters, parameter or []), "image": image,
        "timeout": typed.seconds(timeout), "cwd": _folder(notebook) if cwd is None else cwd,
        **({"user": user} if user else {}),
    })
    if detach and as_json:
        show_json(made)
        return
    if not as_json:
        text = t("run {id}: its output goes to {folder}", id=made["id"], folder=made["folder"])
        typer.echo(text, err=not detach)
    if not detach:
        raise typer.Exit(_follow(client, made["id"], as_json=as_json))


_COLUMNS = {
    "ID": "id", "NOTEBOOK": "notebook", "USER": "user", "PROFILE": "profile", "STAGE": "stage",
    "CELL": "cell", "ASKED": "asked_at", "MESSAGE": "message",
}


@run.command("list")
def run_list(
    as_json: Json = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
) -> None:
    """Your runs, newest first; an operator's are everybody's."""
    found = Client().call("GET", "runs", params={"limit": limit})
    rows = found if as_json else [
        x | {
            "cell": f"{x['cells_done']}/{x['cells']}" if x["cells"] else "",
            "stage": follow.stage_of(x),
        } for x in found
    ]
    none = t("no runs yet: madang run submit NOTEBOOK --profile …")
    show(rows, _COLUMNS, as_json=as_json, none=none)


@run.command("show")
def run_show(id: RunId, as_json: Json = False) -> None:
    """Everything that is known of a run."""
    found = Client().call("GET", f"runs/{id}")
    if as_json:
        show_json(found)
        return
    for key, value in found.items():
        if value not in (None, "", {}) and (key, value) != ("attempt", 1):
            print(f"{key.replace('_', ' '):12s} {value}")


@run.command("logs")
def run_logs(
    id: RunId,
    forward: Annotated[bool, typer.Option("-f", "--follow", help="Until it ends.")] = False,
    as_json: Json = False,
) -> None:
    """What a run has printed."""
    client = Client()
    if forward:
        raise typer.Exit(_follow(client, id, as_json=as_json))
    text = client.text(f"runs/{id}/logs")
    if as_json:
        show_json(text)
    else:
        print(text, end="")


@run.command("cancel")
def run_cancel(id: RunId, as_json: Json = False) -> None:
    """Take a run out of the line, or interrupt it: it saves what it has."""
    _changed("run {id}: {stage}", Client().call("DELETE", f"runs/{id}"), as_json=as_json)


def _follow(client: Client, id: str, *, as_json: bool) -> int:
    try:
        found = follow.follow(client, id, quiet=as_json)
    except KeyboardInterrupt:
        typer.echo("\n" + t(
            "run {id} goes on without you. Follow it: madang run logs -f {id}   "
            "End it: madang run cancel {id}", id=id,
        ), err=True)
        return DETACHED
    if as_json:
        show_json(found)
    else:
        typer.echo(follow.summary(found), err=True)
    return follow.code_of(found)


def _folder(notebook: Path) -> str:
    """The notebook's folder below the home; "" on the host, where homes are elsewhere."""
    home = Path(os.environ.get("HOME", "/"))
    folder = notebook.absolute().parent
    in_server = "JUPYTERHUB_USER" in os.environ and folder.is_relative_to(home)
    return str(folder.relative_to(home)) if in_server else ""


if __name__ == "__main__":
    main()
