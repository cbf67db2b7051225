"""`madang leases`, `line` and `lease …`: what one holds and waits for. Exit codes: see `cli`."""

import os
from typing import Annotated, Any

import typer

from madang.client import Client, Problem
from madang.clock import moment, span
from madang.messages import t
from madang.tables import Json, show, show_json

_OPEN = frozenset({"waiting", "granted", "running"})
lease = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None,
    help="Keep a lease for longer, give it back, or end somebody's.",
)
Id = Annotated[str, typer.Argument(
    metavar="[ID]", help="The lease's id; not needed with just one lease, or in its own server.")]


def leases(
    as_json: Json = False,
    ended: Annotated[bool, typer.Option("--all", help="Ended ones too.")] = False,
) -> None:
    """Your leases; an instructor's also those of their students, an operator's everybody's."""
    columns = {
        "ID": "id", "USER": "user", "KIND": "kind", "PROFILE": "profile", "STAGE": "stage",
        "SLICE": "slice", "SINCE": "asked_at", "PROMISED": "promised", "UNTIL": "until",
        "GIVE BACK": "give_back", "CAUSE": "cause",
    }
    found = Client().call("GET", "leases", params={"all": "true"} if ended else {})
    rows = found if as_json else [x | {"give_back": _notice(x)} for x in found]
    show(rows, columns, as_json=as_json, none=t("no leases"))


def line(as_json: Json = False) -> None:
    """Who waits, by size, in the order in which they would be served now."""
    columns = {
        "PLACE": "position", "PROFILE": "profile", "KIND": "kind", "USER": "user",
        "GROUP": "group", "SINCE": "asked_at", "PROBABLY": "probably", "WHY": "reason",
    }
    found = Client().call("GET", "line")
    rows = found if as_json else [
        x | {"probably": span(x.get("eta_earliest"), x.get("eta_latest"))} for x in found
    ]
    show(rows, columns, as_json=as_json, none=t("nobody waits"))


@lease.command("extend")
def extend(id: Id = "", as_json: Json = False) -> None:
    """Ask for more time; promised where nobody waits, and within the quota."""
    client = Client()
    found = client.call("POST", f"leases/{_which(client, id)}/extend")
    if as_json:
        show_json(found)
    else:
        print(t("lease {id}: yours until {time}", id=found["id"], time=moment(found["promised"])))


@lease.command("release")
def release(id: Id = "", as_json: Json = False) -> None:
    """Give your slice back, or leave the line. What runs on it stops; your files stay."""
    client = Client()
    _ended(client.call("DELETE", f"leases/{_which(client, id)}"), as_json=as_json)


@lease.command("end")
def end(
    id: Id = "",
    reason: Annotated[str, typer.Option(
        help="What its holder reads; needed where that is somebody else.")] = "",
    as_json: Json = False,
) -> None:
    """End a lease (operators anybody's, instructors their students'), or leave the line."""
    client = Client()
    found = client.call(
        "DELETE", f"leases/{_which(client, id)}", params={"reason": reason} if reason else {}
    )
    _ended(found, as_json=as_json)


def _ended(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(found)
    else:
        print(t("lease {id}: {stage}", id=found["id"], stage=found["stage"]))


def _which(client: Client, id: str) -> str:
    """The lease that is meant: the one named, this server's, or the only one."""
    if id:
        return typed_id(id)
    me = client.call("GET", "me")["name"]
    own = [
        x["id"] for x in client.call("GET", "leases")
        if x["user"] == me and x["stage"] in _OPEN
    ]
    here = os.environ.get("MADANG_LEASE", "")
    if here in own:
        return here
    if len(own) == 1:
        return str(own[0])
    raise Problem(
        t("say which lease: {ids}", ids=", ".join(own)) if own
        else t("you have no open lease; `madang leases` shows those that you may see")
    )


def typed_id(id: str) -> str:
    """An id as it can stand in an address.

    Raises:
        Problem: it is none.
    """
    if not id.replace("-", "").isalnum() or not id.isascii():
        raise Problem(t("{id} is no id", id=repr(id)))
    return id


def _notice(found: dict[str, Any]) -> str:
    """By when and why it is asked back."""
    if not found.get("notice"):
        return ""
    return t("by {time} ({why})", time=moment(found["leave_by"]), why=t(found["notice"]))
