"""`madang course preview|check|publish|students|withdraw`: what instructors do."""

import base64
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from madang import packing
from madang.client import Client, Problem
from madang.course_cli import Which, named
from madang.messages import t
from madang.tables import Json, plain, show, show_json
from madang.typed import snapshot_most

_SLOW = 240  # seconds: a whole course is read and normalised
_EVERY = 2  # seconds between two looks at the runs of a check
_LEFT = 130
_TOLD = 10
_MARKS = {"new": "+", "changed": "~", "gone": "-", "data": "*", "same": " "}  # data: new or changed


Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The course's folder.")]
Name = Annotated[str, typer.Option(
    "--course", metavar="COURSE", help="Its name. [default: the folder's]")]


def add_to(course: typer.Typer) -> None:
    """These verbs among those of `madang course`."""
    for verb in (preview, check, publish, students, withdraw):
        course.command(verb.__name__)(verb)


def preview(folder: Folder, name: Name = "", as_json: Json = False) -> None:
    """What would be handed out, what is new in it, and what is wrong, by file and line."""
    found = _draft(Client(), folder, name, quiet=as_json)
    if as_json:
        show_json(found)
    else:
        _tell(found)
        # the service does not know by which address people reach it
        print(t("differences, for a day: {page} in the browser",
                page=f"/services/madang/courses/drafts/{found['id']}"))
    raise typer.Exit(0 if found["ok"] else 1)


def check(
    folder: Folder,
    profile: Annotated[str, typer.Option(help="Size of slice. [default: course.toml's]")] = "",
    image: Annotated[str, typer.Option(help="[default: course.toml's]")] = "",
    name: Name = "", as_json: Json = False,
) -> None:
    """Run every notebook from top to bottom on a slice, as runs of your own."""
    client = Client()
    found = _draft(client, folder, name, quiet=as_json)
    path = f"courses/drafts/{found['id']}/check"
    client.call("POST", path, json={"profile": profile, "image": image}, timeout=_SLOW)
    try:
        seen = _follow(client, path, quiet=as_json)
    except KeyboardInterrupt as e:
        typer.echo("\n" + t("the runs go on without you: madang run list"), err=True)
        raise typer.Exit(_LEFT) from e
    if as_json:
        show_json(seen)
    raise typer.Exit(0 if seen["ok"] else 1)


def publish(
    folder: Folder,
    notes: Annotated[str, typer.Option(help="What is new, for your students.")] = "",
    name: Name = "", as_json: Json = False,
) -> None:
    """Publish a folder as the next release: everybody has it at the next start."""
    client = Client()
    found = _draft(client, folder, name, quiet=as_json)
    if not found["ok"]:
        _tell(found, err=True)
        raise Problem(t("nothing was published"))
    made = client.call(
        "POST", f"courses/drafts/{found['id']}/publish", timeout=_SLOW,
        json={"notes": notes, "against": found["against"] or 0},
    )
    if as_json:
        show_json(made)
        return
    for one in found["problems"]:
        typer.echo(_line(one), err=True)
    print(t("{course}: release {number} is published, {files} files, {notebooks} notebooks",
            course=found["course"], **{k: made[k] for k in ("number", "files", "notebooks")}))


def students(which: Which = "", as_json: Json = False) -> None:
    """Who has which release, who has two versions side by side, who has not opened it."""
    client = Client()
    found = client.call("GET", f"courses/{named(client, which)}/students", timeout=_SLOW)
    if as_json:
        show_json(found)
        return
    names = list(dict.fromkeys(k for x in found for k in x["executed"]))
    columns = {
        "STUDENT": "user", "RELEASE": "release", "SINCE": "at", "SIDE BY SIDE": "conflicts",
        "OPENED": "opened", **{plain(k): f"run:{k}" for k in names},
    }
    show([x | _executed(x) for x in found], columns, as_json=False, none=t("no students"))


def withdraw(
    which: Annotated[str, typer.Argument(metavar="COURSE", help="Its name.")],
    number: Annotated[int, typer.Argument(metavar="N", min=1, help="The release.")],
    as_json: Json = False,
) -> None:
    """Hand a release out to nobody else; who has it keeps it until the next one."""
    found = Client().call("DELETE", f"courses/{which}/releases/{number}")
    if as_json:
        show_json(found)
        return
    print(t("{course}: release {number} is withdrawn", course=which, number=number))


# ---- a folder on its way ------------------------------------------------------------------------


def _draft(client: Client, folder: Path, name: str, *, quiet: bool) -> dict[str, Any]:
    try:
        packed = packing.pack(folder, snapshot_most(), course=True)
    except packing.Unpackable as e:
        raise Problem(str(e)) from e
    if packed.left_out and not quiet:
        some = ", ".join(packed.left_out[:_TOLD])
        more = ", …" if len(packed.left_out) > _TOLD else ""
        typer.echo(t("left out: {names}", names=plain(some + more)), err=True)
    made: dict[str, Any] = client.call("POST", "courses/drafts", timeout=_SLOW, json={
        "course": name or folder.resolve().name,
        "files": base64.b64encode(packed.data).decode(),
    })
    return made


def _tell(found: Mapping[str, Any], *, err: bool = False) -> None:
    against = found["against"]
    typer.echo(t("{course}: against release {number}", course=found["course"], number=against)
               if against else t("{course}: the first release", course=found["course"]), err=err)
    for one in found["files"]:
        if one["change"] != "same":
            told = " (data)" if one["change"] == "data" else ""
            typer.echo(f"  {_MARKS[one['change']]} {plain(one['path'])}{told}", err=err)
    for one in found["problems"]:
        typer.echo(_line(one), err=err)
    if not found["ok"]:
        typer.echo(t("it cannot be published like this"), err=err)


def _line(one: Mapping[str, Any]) -> str:
    """As compilers say it: an editor in a terminal finds the place."""
    place = f"{plain(one['path'])}:{one['line']}" if one["line"] else plain(one["path"])
    mark = t("refused") if one["fatal"] else t("note")
    return ": ".join(x for x in (place, mark, plain(one["message"])) if x)


def _follow(client: Client, path: str, *, quiet: bool) -> dict[str, Any]:
    """Look until all have ended; each is told of once it has."""
    told: set[str] = set()
    while True:
        found: dict[str, Any] = client.call("GET", path)
        for one in found["checks"]:
            if one["done"] and one["run"] not in told and not quiet:
                told.add(one["run"])
                _tell_run(one)
        if found["done"]:
            return found
        time.sleep(_EVERY)


def _tell_run(one: Mapping[str, Any]) -> None:
    where = t("cell {cell}/{cells}", cell=one["cell"], cells=one["cells"]) if one["cell"] else ""
    said = (plain(one["path"]), one["stage"], where, plain(one["error"]))
    print("  ".join(x for x in said if x))
    for line in one["lines"]:
        print(f"    {plain(line)}")


def _executed(one: Mapping[str, Any]) -> dict[str, str]:
    return {f"run:{k}": f"{x['run']}/{x['cells']}" for k, x in one["executed"].items()}
