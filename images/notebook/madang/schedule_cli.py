"""`madang schedule …`: notebooks that run by themselves at their times. Exit codes: see `cli`."""

from typing import Annotated, Any

import typer

from madang import options, typed
from madang.client import Client, Problem
from madang.clock import moment
from madang.messages import t
from madang.tables import Json, show, show_fields, show_json

_HELP = """Run notebooks by themselves, at their times.

\b
    madang schedule add notebooks/nightly/digits-cnn.ipynb --name nightly \\
        --cron "0 2 * * *" --profile 1g.5gb -p epochs=20
    madang schedule add study.ipynb --name study --cron "30 18 * * fri" \\
        --profile 1g.5gb --sweep lr=0.1,0.01 --sweep seed=0..4 --catch-up 6h

\b
The five fields of --cron: minute, hour, day of the month, month, weekday.
"""
schedule = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=_HELP)
Which = Annotated[str, typer.Argument(
    metavar="SCHEDULE", help="Its name, its id, or how the id begins.")]
_COLUMNS = {
    "ID": "id", "NAME": "name", "USER": "user", "NOTEBOOK": "notebook_name", "CRON": "cron",
    "ZONE": "zone", "PROFILE": "profile", "NEXT": "next_at", "LAST": "last_seen",
}
_PAST = {"SLOT": "slot", "OUTCOME": "outcome", "RUN": "made", "MESSAGE": "message"}


@schedule.command("add")
def add(  # noqa: PLR0913, PLR0917 - each is an option of the command
    notebook: options.Notebook, profile: options.Profile,
    name: Annotated[str, typer.Option(help="What you call it.")],
    cron: Annotated[str, typer.Option(help="When: “0 2 * * *” is each night at 02:00.")],
    zone: Annotated[str, typer.Option(help="Time zone, Asia/Seoul. [default: Madang's]")] = "",
    parameter: options.Parameter = None, parameters: options.Parameters = None,
    sweep: options.Sweep = None, image: options.Image = "", timeout: options.Timeout = "",
    retries: options.Retries = 0,
    catch_up: Annotated[str, typer.Option(
        help="Run the latest one that was missed, within so many hours: 6h.")] = "none",
    overlap: Annotated[str, typer.Option(
        help="Where the one before has not ended: skip, queue or replace.")] = "skip",
    paused: Annotated[bool, typer.Option("--paused", help="Run nothing before `resume`.")] = False,
    cwd: options.Cwd = None, snapshot: options.Snapshot = True, group: options.Group = "",
    secret: options.Secret = None, notify: options.Notify = None, user: options.For = "",
    replace: Annotated[bool, typer.Option(
        "--replace", help="In place of the one that has this name.")] = False,
    as_json: Json = False,
) -> None:
    """Keep a notebook as it is now, and when it is to run."""
    client = Client()
    asked, note = options.body(
        notebook, profile=profile, parameter=parameter, parameters=parameters, sweep=sweep,
        image=image, timeout=timeout, retries=retries, cwd=cwd, snapshot=snapshot, group=group,
        user=user, secret=secret, notify=notify,
    )
    asked |= {
        "name": name, "cron": cron, "zone": zone, "catch_up": catch_up, "overlap": overlap,
        "paused": paused,
    }
    if note and not as_json:
        typer.echo(note, err=True)
    made = _replaced(client, asked) if replace else None
    _say(made or client.call("POST", "schedules", json=asked), as_json=as_json)


def _replaced(client: Client, asked: dict[str, Any]) -> dict[str, Any] | None:
    """The schedule of this name and person changed; None where there is none."""
    owner = asked.get("user") or client.call("GET", "me")["name"]
    for one in client.call("GET", "schedules"):
        if (one["name"], one["user"]) == (asked["name"], owner):
            every = {
                "sweep": {}, "retries": 0, "group": "", "snapshot": "", "secrets": [],
                "notify": [], **asked,
            }
            every.pop("user", None)
            changed: dict[str, Any] = client.call("PATCH", f"schedules/{one['id']}", json=every)
            return changed
    return None


@schedule.command("list")
def list_(as_json: Json = False) -> None:
    """Your schedules; an operator's are everybody's."""
    found = Client().call("GET", "schedules")
    rows = found if as_json else [
        x | {"next_at": _next(x), "last_seen": _last(x)} for x in found
    ]
    none = t("no schedules yet: madang schedule add NOTEBOOK --name … --cron …")
    show(rows, _COLUMNS, as_json=as_json, none=none)


@schedule.command("show")
def show_(which: Which, as_json: Json = False) -> None:
    """A schedule, its next times, and what became of the last ones."""
    client = Client()
    found = client.call("GET", f"schedules/{named(client, which)['id']}")
    if as_json:
        show_json(found)
        return
    told = {"occurrences", "next", "last"}
    show_fields({k: x for k, x in found.items() if k not in told and x != 0}, width=14)
    for slot in found["next"]:
        print(f"{'next':14s} {moment(slot['at'])}")
    past = [x | {"made": x["run"] or x["sweep"]} for x in found["occurrences"]]
    print()
    show(past, _PAST, as_json=False, none=t("none of its times has come yet"))


@schedule.command("pause")
def pause(which: Which, as_json: Json = False) -> None:
    """Run nothing until `resume`; what comes meanwhile is not made up for."""
    _say(_change(which, paused=True), as_json=as_json)


@schedule.command("resume")
def resume(which: Which, as_json: Json = False) -> None:
    """Run it again at its times."""
    _say(_change(which, paused=False), as_json=as_json)


@schedule.command("remove")
def remove(which: Which, as_json: Json = False) -> None:
    """Forget it; its runs stay."""
    client = Client()
    gone = client.call("DELETE", f"schedules/{named(client, which)['id']}")
    if as_json:
        show_json(gone)
    else:
        print(t("schedule {name} is removed", name=gone["name"]))


@schedule.command("run-now")
def run_now(
    which: Which, parameter: options.Parameter = None, parameters: options.Parameters = None,
    as_json: Json = False,
) -> None:
    """Run it once now, beside its times; with other parameters, if you give some."""
    client = Client()
    given = typed.parameters(parameters, parameter or [])
    made = client.submit(
        f"schedules/{named(client, which)['id']}/run", {"parameters": given}
    )
    if as_json:
        show_json(made)
    elif "runs" in made:
        print(t("sweep {id}: {count} runs", id=made["id"], count=made["count"]))
    else:
        print(t("run {id}: its output goes to {folder}", id=made["id"], folder=made["folder"]))


def named(client: Client, which: str) -> dict[str, Any]:
    """The schedule of this name or id, or whose id begins so.

    Raises:
        Problem: none, or several.
    """
    every = client.call("GET", "schedules")
    for found in (
        [x for x in every if which == x["id"]], [x for x in every if which == x["name"]],
        [x for x in every if which and x["id"].startswith(which)],
    ):
        if len(found) == 1:
            return dict(found[0])
        if found:
            ids = ", ".join(f"{x['id']} ({x['user']})" for x in found)
            raise Problem(t("several schedules are called {name}: {ids}", name=which, ids=ids))
    raise Problem(t("there is no schedule {name}; `madang schedule list` shows yours", name=which))


def _change(which: str, **changes: Any) -> dict[str, Any]:
    client = Client()
    found = named(client, which)
    return dict(client.call("PATCH", f"schedules/{found['id']}", json=changes))


def _say(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(found)
    elif found["paused"]:
        print(t("schedule {name} is paused", name=found["name"]))
    else:
        print(t("schedule {name}: next {time}", name=found["name"], time=_next(found)))


def _next(found: dict[str, Any]) -> str:
    return moment(found["next"][0]["at"]) if found["next"] else t("paused")


def _last(found: dict[str, Any]) -> str:
    last = found["last"]
    return f"{last['slot'].replace('T', ' ')} {last['outcome']}" if last else ""
