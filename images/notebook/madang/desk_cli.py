"""`madang reserve`, `group`, `usage` and `slice`: the desk's verbs. Exit codes: see `cli`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from madang.client import Client, Problem
from madang.clock import span
from madang.lease_cli import typed_id
from madang.messages import t
from madang.tables import Json, show, show_json

_RESERVE_HELP = """Reserve slices for a group: for hours of the week, or one span of time.

\b
    madang reserve add --group ai-2025 --profile 1g.5gb --count 10 \\
        --days mon,wed --from 10:00 --to 12:00 --last 2026-12-18
    madang reserve add --group ai-2025 --profile 3g.20gb --count 1 \\
        --begins 2026-12-01T09:00 --ends 2026-12-03T18:00
"""


def _typer(help: str) -> typer.Typer:
    return typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=help)


reserve, group = _typer(_RESERVE_HELP), _typer("Groups: weights, quotas, how long they last.")
slice_ = _typer("Take a slice out of use, and put it back (operators).")


class By(StrEnum):
    """What a row of usage is about."""

    USER = "user"
    GROUP = "group"


# ---- reservations -------------------------------------------------------------------------------


@reserve.command("add", short_help="Reserve slices for a group.")
def reserve_add(  # noqa: PLR0913, PLR0917 - each is an option of the command
    group: Annotated[str, typer.Option(help="For whom; see `madang group list`.")],
    profile: Annotated[str, typer.Option(help="Size of the slices; see `madang offers`.")],
    count: Annotated[int, typer.Option(help="How many slices.")],
    days: Annotated[str, typer.Option(help="Weekdays: mon,wed or 월,수.")] = "",
    start: Annotated[str, typer.Option("--from", help="On each of them from, 10:00.")] = "",
    end: Annotated[str, typer.Option("--to", help="To, 12:00; 24:00 is midnight.")] = "",
    first: Annotated[str, typer.Option(help="First date, 2026-11-23. [default: today]")] = "",
    last: Annotated[str, typer.Option(help="Last date. [default: without end]")] = "",
    begins: Annotated[str, typer.Option(help="One span: from, 2026-12-01T09:00.")] = "",
    ends: Annotated[str, typer.Option(help="One span: to.")] = "",
    zone: Annotated[str, typer.Option(help="Time zone, Asia/Seoul. [default: Madang's]")] = "",
    note: Annotated[str, typer.Option(help="What it is for; everybody reads it.")] = "",
    dry_run: Annotated[bool, typer.Option(
        "--dry-run", help="Only say whether it would fit.")] = False,
    as_json: Json = False,
) -> None:
    """Reserve slices for a group; refused with what is in the way, and when it would fit."""
    made = Client().call("POST", "reservations", params={"dry_run": dry_run}, json={
        "group": group, "profile": profile, "count": count, "zone": zone, "note": note,
        "days": [days] if days else [], "start": start, "end": end, "first": first, "last": last,
        "begins": begins, "ends": ends,
    })
    if as_json:
        show_json(made)
        return
    values = made | {"when": _when(made), "next": _next(made)}
    print(t("this would fit: {count} of {profile} for {group}, {when}; next {next}", **values)
          if dry_run else t(
              "reservation {id}: {count} of {profile} for {group}, {when}; next {next}", **values))


@reserve.command("list")
def reserve_list(as_json: Json = False) -> None:
    """What is reserved, soonest first."""
    columns = {
        "ID": "id", "GROUP": "group", "PROFILE": "profile", "COUNT": "count", "WHEN": "when",
        "NEXT": "next_hours", "NOTE": "note", "MADE BY": "made_by",
    }
    found = Client().call("GET", "reservations")["reservations"]
    rows = found if as_json else [
        x | {"when": _when(x), "next_hours": _next(x)} for x in found
    ]
    show(rows, columns, as_json=as_json, none=t("nothing is reserved"))


@reserve.command("remove")
def reserve_remove(
    id: Annotated[str, typer.Argument(metavar="ID")], as_json: Json = False
) -> None:
    """Take a reservation back."""
    gone = Client().call("DELETE", f"reservations/{typed_id(id)}")
    if as_json:
        show_json(gone)
    else:
        print(t("reservation {id} is taken back", id=gone["id"]))


def _when(made: dict[str, Any]) -> str:
    """In its own time zone."""
    if made["kind"] == "span":
        return f"{span(made['begins'], made['ends'])} {made['zone']}"
    last = f" - {made['last']}" if made["last"] else " -"
    hours = f"{','.join(made['days'])} {made['start']}-{made['end']}"
    return f"{hours} {made['zone']}, {made['first']}{last}"


def _next(made: dict[str, Any]) -> str:
    """In the house's time zone, which need not be its own."""
    if not made["next"]:  # what is over is not listed
        return t("none: Madang does not know this time zone any more")
    return span(made["next"]["begins"], made["next"]["ends"], named=True)


# ---- groups -------------------------------------------------------------------------------------


@group.command("list")
def group_list(as_json: Json = False) -> None:
    """Groups, their shares, and what they have used; quotas are slice-hours a week."""
    columns = {
        "NAME": "name", "MEMBERS": "members", "WEIGHT": "weight", "SHARE": "share", "USE": "use",
        "WEEK": "week_used", "QUOTA": "quota", "USER QUOTA": "user_quota", "ENDS": "ends",
    }
    found = Client().call("GET", "groups")
    rows = found if as_json else [
        x | {"share": f"{x['share']:.0%}", "use": f"{x['use']:.0%}"} for x in found
    ]
    show(rows, columns, as_json=as_json, none=t("no groups"))


@group.command("set")
def group_set(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    weight: Annotated[str | None, typer.Option(
        help="Its part against the others': above 0, at most 1000.")] = None,
    quota: Annotated[str | None, typer.Option(
        help="Its slice-hours a week, above 0: 40, 40h, none.")] = None,
    user_quota: Annotated[str | None, typer.Option(
        help="Each member's slice-hours a week, above 0: 10, 10h, none.")] = None,
    ends: Annotated[str | None, typer.Option(
        help="The last day on which it may ask: 2026-12-18, none.")] = None,
    create: Annotated[bool, typer.Option(
        "--create", help="Make the group, before the roster names it.")] = False,
    as_json: Json = False,
) -> None:
    """Change a group's settings, or with --create make a new one (operators)."""
    given = {"weight": weight, "quota": quota, "user_quota": user_quota, "ends": ends}
    changes = {k: x for k, x in given.items() if x is not None}
    if not changes and not create:
        raise Problem(t("say what to change: --weight, --quota, --user-quota or --ends"))
    made = Client().call(
        "PUT", f"groups/{_in_address(name)}", params={"create": create}, json=changes
    )
    if as_json:
        show_json(made)
    else:
        print(t("group {name} is changed", name=made["name"]))


@group.command("remove")
def group_remove(
    name: Annotated[str, typer.Argument(metavar="NAME")], as_json: Json = False
) -> None:
    """Take a group's settings back; who is in it, the roster says (operators)."""
    gone = Client().call("DELETE", f"groups/{_in_address(name)}")
    if as_json:
        show_json(gone)
    else:
        print(t("group {name} has no settings any more", name=gone["name"]))


def _in_address(name: str) -> str:
    if "/" in name or not name.strip(" ."):
        raise Problem(t("{id} is no name of a group", id=repr(name)))
    return quote(name, safe="")


# ---- usage --------------------------------------------------------------------------------------


def usage(
    by: Annotated[By, typer.Option(help="What a row is about.")] = By.USER,
    since: Annotated[str, typer.Option(help="7d, 12h, 2w, or a date, 2026-11-23.")] = "7d",
    until: Annotated[str, typer.Option(help="The same. [default: now]")] = "",
    csv: Annotated[str, typer.Option(
        metavar="FILE", help="Write a table for spreadsheets; - is the terminal.")] = "",
    as_json: Json = False,
) -> None:
    """What was used, in slice-hours: an hour of a 1g is 1, of a 3g 3.5, of a whole card 7."""
    asked = {"by": str(by), "since": since, **({"until": until} if until else {})}
    if csv and as_json:
        raise Problem(t("take --csv or --json, not both"))
    if csv:
        _write(csv, Client().text("usage", params=asked | {"format": "csv"}))
        return
    columns = {
        "GROUP": "group", "USER": "user", "SLICE-HOURS": "slice_hours", "IDLE": "idle_hours",
        "LEASES": "leases", "MEAN WAIT": "wait_mean", "95% WAITED": "wait_p95",
    }
    if by is By.GROUP:
        del columns["USER"]
    found = Client().call("GET", "usage", params=asked)
    rows = found if as_json else [_with_waits(x) for x in found]
    show(rows, columns, as_json=as_json, none=t("nothing was used"))


def _with_waits(row: dict[str, Any]) -> dict[str, Any]:
    return row | {
        "user": row["user"] or t("(others)"), "slice_hours": f"{row['slice_hours']:.1f}",
        "idle_hours": None if row["idle_hours"] is None else f"{row['idle_hours']:.1f}",
        "wait_mean": _minutes(row["wait_seconds_mean"]),
        "wait_p95": _minutes(row["wait_seconds_p95"]),
    }


def _minutes(seconds: float | None) -> str | None:
    return None if seconds is None else f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02d}"


def _write(file: str, text: str) -> None:
    if file == "-":
        print(text.removeprefix("\ufeff"), end="")
        return
    try:
        Path(file).write_text(text, encoding="utf-8", newline="")
    except OSError as e:
        raise Problem(t("cannot write {path}: {error}", path=file, error=e.strerror or e)) from e
    print(t("written: {path}", path=file))


# ---- slices -------------------------------------------------------------------------------------

Key = Annotated[str, typer.Argument(
    metavar="KEY", help="GPU:SLOT as `madang slices` shows them (0:4), or the key of its JSON.")]


@slice_.command("block")
def slice_block(
    key: Key,
    reason: Annotated[str, typer.Option(help="Why; operators and instructors read it.")],
    as_json: Json = False,
) -> None:
    """Take a slice out of use: nobody is given it; whoever holds it keeps it."""
    client = Client()
    found = client.call("POST", "slices/block", json={
        "slice": _key(client, key), "reason": reason,
    })
    _say(found, as_json=as_json)


@slice_.command("unblock")
def slice_unblock(key: Key, as_json: Json = False) -> None:
    """Put a slice back into use."""
    client = Client()
    found = client.call("DELETE", "slices/block", json={"slice": _key(client, key)})
    _say(found, as_json=as_json)


def _say(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(found)
    else:
        print(t("slice {key}: {state}", key=found["key"], state=found["state"]))


def _key(client: Client, text: str) -> str:
    gpu, colon, start = text.partition(":")
    if not colon or "/" in text:
        return text
    here = [
        x["key"] for x in client.call("GET", "slices")
        if (str(x["gpu_index"]), str(x["start"])) == (gpu, start) and x["state"] != "missing"
    ]
    if len(here) == 1:
        return str(here[0])
    raise Problem(
        t("several slices are {key}: {keys}", key=text, keys=", ".join(here)) if here
        else t("there is no slice {key}; `madang slices` shows them as GPU and SLOT", key=text)
    )
