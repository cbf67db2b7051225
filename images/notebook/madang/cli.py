"""The command `madang`: slices, the line, runs and the desk, from a terminal in Lab or the host.

Exit codes of every command: 0 done; 2 refused, or a mistake in what was typed; 3 Madang is not
reached. `madang run submit` and `madang run logs -f` end as the run did: see `ENDS` in follow.py.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from madang import (
    collect_cli,
    course_cli,
    course_publishing,
    desk_cli,
    follow,
    lease_cli,
    options,
    report_cli,
    schedule_cli,
    sweeps,
    typed,
)
from madang.client import Client, Problem
from madang.clock import moment
from madang.lease_cli import typed_id
from madang.messages import t
from madang.tables import Json, show, show_fields, show_json

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
app.add_typer(schedule_cli.schedule, name="schedule")
course_publishing.add_to(course_cli.course)
collect_cli.add_to(course_cli.course)
app.add_typer(course_cli.course, name="course")
app.add_typer(lease_cli.lease, name="lease")
app.add_typer(desk_cli.reserve, name="reserve")
app.add_typer(desk_cli.group, name="group")
app.add_typer(desk_cli.slice_, name="slice")
app.command("leases")(lease_cli.leases)
app.command("line")(lease_cli.line)
app.command("usage")(desk_cli.usage)
app.command("report")(report_cli.report)
run.command("diff")(report_cli.diff)
run.command("export")(report_cli.export)

RunId = Annotated[str, typer.Argument(metavar="ID", help="The run's id, or the beginning of it.")]


def main() -> None:
    """Run the command line."""
    with piped():
        app()


@contextmanager
def piped() -> Iterator[None]:
    """Whoever reads may stop reading: `madang report | head`. Typer minds it only while it runs."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # or the interpreter tries once more at its end, and says so
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


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
    notebook: options.Notebook, profile: options.Profile, parameter: options.Parameter = None,
    parameters: options.Parameters = None, sweep: options.Sweep = None,
    image: options.Image = "", timeout: options.Timeout = "",
    at: Annotated[str, typer.Option(
        help="Not before: 02:00, or 2026-11-24T02:00, in Madang's time zone.")] = "",
    after: Annotated[str, typer.Option(
        metavar="RUN", help="Not before this run of yours has succeeded.")] = "",
    retries: options.Retries = 0, cwd: options.Cwd = None, snapshot: options.Snapshot = True,
    group: options.Group = "", secret: options.Secret = None, notify: options.Notify = None,
    user: options.For = "",
    detach: Annotated[bool, typer.Option(
        "--detach", "--no-follow", "-d", help="Do not wait for it.")] = False,
    as_json: Json = False,
) -> None:
    """Run a notebook on a slice; it waits in the line like everybody, and you see it run."""
    client = Client()
    asked, note = options.body(
        notebook, profile=profile, parameter=parameter, parameters=parameters, sweep=sweep,
        image=image, timeout=timeout, retries=retries, cwd=cwd, snapshot=snapshot, group=group,
        user=user, secret=secret, notify=notify,
    )
    asked |= {k: x for k, x in (("at", at), ("after", after)) if x}
    made = client.submit("sweeps" if sweep else "runs", asked)
    if note and not as_json:
        typer.echo(note, err=True)
    # what begins at night is waited for by nobody
    _made(client, made, detach=detach or bool(at or after), as_json=as_json)


def _made(client: Client, made: dict[str, Any], *, detach: bool, as_json: bool) -> None:
    """Say what was made, and follow it unless nobody wants to."""
    if detach and as_json:
        show_json(made)
        return
    if not as_json:
        typer.echo(_told(made), err=not detach)
    if detach:
        return
    raise typer.Exit(_follow(client, made["id"], as_json=as_json, sweep="runs" in made))


def _told(made: dict[str, Any]) -> str:
    if "runs" in made:
        return t("sweep {id}: {count} runs", id=made["id"], count=made["count"])
    text = t("run {id}: its output goes to {folder}", id=made["id"], folder=made["folder"])
    if made.get("not_before"):
        text += "\n" + t("it begins not before {time}", time=moment(made["not_before"]))
    if made.get("after"):
        text += "\n" + t("it begins after {run} has succeeded", run=made["after"])
    return text


_COLUMNS = {
    "ID": "id", "NOTEBOOK": "notebook", "USER": "user", "PROFILE": "profile", "STAGE": "stage",
    "CELL": "cell", "ASKED": "asked_at", "MESSAGE": "message",
}


@run.command("list")
def run_list(
    as_json: Json = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
    sweep: Annotated[str, typer.Option(
        metavar="ID", help="Those of one sweep, with parameters and figures.")] = "",
    schedule: Annotated[str, typer.Option(
        metavar="SCHEDULE", help="Those of one schedule, by its name or id.")] = "",
) -> None:
    """Your runs, newest first; an operator's are everybody's."""
    client = Client()
    if sweep:
        sweeps.table(client.call("GET", f"sweeps/{typed_id(sweep)}"), as_json=as_json)
        return
    asked = {"schedule": schedule_cli.named(client, schedule)["id"]} if schedule else {}
    found = client.call("GET", "runs", params={"limit": limit, **asked})
    rows = found if as_json else [
        x | {
            "cell": _progress(x),
            "stage": follow.stage_of(x),
        } for x in found
    ]
    none = t("no runs yet: madang run submit NOTEBOOK --profile …")
    show(rows, _COLUMNS, as_json=as_json, none=none)


def _progress(run: dict[str, Any]) -> str:
    """Cells, and the steps that the notebook counts itself."""
    cells = f"{run['cells_done']}/{run['cells']}" if run["cells"] else ""
    steps = f"{run['steps_done']}/{run['steps']}" if run.get("steps") else ""
    return f"{cells} ({steps})" if steps else cells


_USUAL = (
    ("attempt", 1), ("retries", 0), ("retried", 0), ("steps", 0), ("steps_done", 0),
)


@run.command("show")
def run_show(id: RunId, as_json: Json = False) -> None:
    """Everything that is known of a run."""
    found = Client().call("GET", f"runs/{id}")
    if as_json:
        show_json(found)
        return
    show_fields({k: x for k, x in found.items() if (k, x) not in _USUAL}, width=12)


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
def run_cancel(
    id: RunId,
    sweep: Annotated[bool, typer.Option(
        "--sweep", help="The id is a sweep's: cancel all its runs.")] = False,
    as_json: Json = False,
) -> None:
    """Take a run out of the line, or interrupt it: it saves what it has."""
    client = Client()
    if not sweep:
        _changed("run {id}: {stage}", client.call("DELETE", f"runs/{id}"), as_json=as_json)
        return
    found = client.call("DELETE", f"sweeps/{typed_id(id)}")
    if as_json:
        show_json(found)
    else:
        print(sweeps.counts(found))


@run.command("rerun")
def run_rerun(
    id: RunId, parameter: options.Parameter = None, parameters: options.Parameters = None,
    profile: Annotated[str, typer.Option(help="Another size. [default: the same]")] = "",
    image: Annotated[str, typer.Option(help="Another image. [default: the same]")] = "",
    detach: Annotated[bool, typer.Option(
        "--detach", "--no-follow", "-d", help="Do not wait for it.")] = False,
    as_json: Json = False,
) -> None:
    """Repeat a run from what was kept of it; says in what it will differ."""
    client = Client()
    made = client.submit(f"runs/{id}/rerun", {
        "parameters": typed.parameters(parameters, parameter or []), "profile": profile,
        "image": image,
    })
    if detach and as_json:
        show_json(made)
        return
    for text in () if as_json else made["differs"]:
        typer.echo(text, err=True)
    _made(client, made["run"], detach=detach, as_json=as_json)


def _follow(client: Client, id: str, *, as_json: bool, sweep: bool = False) -> int:
    try:
        if sweep:
            return sweeps.follow(client, id, as_json=as_json)
        found = follow.follow(client, id, quiet=as_json)
    except KeyboardInterrupt:
        typer.echo("\n" + (t(
            "sweep {id} goes on without you. Look at it: madang run list --sweep {id}   "
            "End it: madang run cancel --sweep {id}", id=id,
        ) if sweep else t(
            "run {id} goes on without you. Follow it: madang run logs -f {id}   "
            "End it: madang run cancel {id}", id=id,
        )), err=True)
        return DETACHED
    if as_json:
        show_json(found)
    else:
        typer.echo(follow.summary(found), err=True)
    return follow.code_of(found)


if __name__ == "__main__":
    main()
