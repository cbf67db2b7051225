"""`madang course collect|collections|collected|feedback`: handing in."""

import base64
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from madang import packing
from madang.client import Client, Problem
from madang.course_cli import Which, named
from madang.messages import t
from madang.tables import Json, show, show_json

_SLOW = 240  # seconds: a whole class's files
Course = Annotated[str, typer.Argument(metavar="COURSE", help="Its name.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the collection: hw1.")]
_COLLECTIONS = {
    "NAME": "name", "FOLDER": "path", "DUE": "due", "TAKEN": "taken_at", "HANDED IN": "handed_in",
    "FEEDBACK": "feedback_at",
}
_SUBMISSIONS = {
    "STUDENT": "user", "FILES": "files", "BYTES": "size", "TAKEN": "taken_at", "PROBLEM": "problem",
    "FEEDBACK": "returned_at",
}


def add_to(course: typer.Typer) -> None:
    """These verbs among those of `madang course`."""
    for verb in (collect, collections, collected, feedback):
        course.command(verb.__name__)(verb)


def collect(
    course: Course, name: Name,
    folder: Annotated[str, typer.Argument(
        metavar="[FOLDER]", help="In the course's folder. [default: NAME]")] = "",
    due: Annotated[str, typer.Option(
        help="2026-12-01T18:00 or 18:00, in the course's zone. [default: now]")] = "",
    again: Annotated[str, typer.Option(
        metavar="STUDENT", help="Take what this student has now, after the deadline.")] = "",
    drop: Annotated[bool, typer.Option("--drop", help="Collect it not, after all.")] = False,
    as_json: Json = False,
) -> None:
    """Copy a folder of each student at a deadline; nobody changes the copies afterwards.

    Before the deadline the same verb changes its time and folder.
    """
    client, path = Client(), f"courses/{course}/collections"
    if again and drop:
        raise Problem(t("one of --again and --drop"))
    if again:
        found = client.call("POST", f"{path}/{name}/again", json={"user": again}, timeout=_SLOW)
    elif drop:
        found = client.call("DELETE", f"{path}/{name}")
    else:
        wanted = {"name": name, "path": folder or name, "due": due}
        found = client.call("POST", path, json=wanted, timeout=_SLOW)
    if as_json:
        show_json(found)
    elif again:
        show([found], _SUBMISSIONS, as_json=False, none="")
    elif drop:
        print(t("{name} is not collected", name=name))
    else:
        show([_counted(found)], _COLLECTIONS, as_json=False, none="")


def collections(which: Which = "", as_json: Json = False) -> None:
    """What is collected, by deadline."""
    client = Client()
    found = client.call("GET", f"courses/{named(client, which)}/collections")
    rows = found if as_json else [_counted(x) for x in found]
    show(rows, _COLLECTIONS, as_json=as_json, none=t("nothing is collected"))


def collected(
    course: Course, name: Name,
    out: Annotated[Path | None, typer.Option(
        "--output", "-o", metavar="FILE", help="All files as a tar.gz: STUDENT/NAME/…")] = None,
    as_json: Json = False,
) -> None:
    """What was handed in, student by student."""
    client, path = Client(), f"courses/{course}/collections"
    for one in client.call("GET", path):
        if one["name"] == name:
            break
    else:
        raise Problem(t("{course} collects nothing by the name {name}", course=course, name=name))
    if out is not None:
        _save(client.pieces(f"{path}/{name}/archive"), out)
        print(t("{path}: {count} students", path=out, count=_handed_in(one)))
        return
    show(one["submissions"], _SUBMISSIONS, as_json=as_json, none=t("nothing was taken yet"))


def feedback(
    course: Course, name: Name,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="With a folder per student.")],
    as_json: Json = False,
) -> None:
    """Lay files into students' folders: DIR/STUDENT/… comes to feedback/NAME/… of the course."""
    try:
        packed = packing.pack(folder, course=True)
    except packing.Unpackable as e:
        raise Problem(str(e)) from e
    asked = {"files": base64.b64encode(packed.data).decode()}
    found = Client().call(
        "POST", f"courses/{course}/collections/{name}/feedback", json=asked, timeout=_SLOW
    )
    if as_json:
        show_json(found)
        return
    columns = {"STUDENT": "user", "FILES": "files", "PROBLEM": "problem"}
    show(found, columns, as_json=False, none="")
    if any(x["problem"] for x in found):
        raise typer.Exit(1)


def _save(pieces: Iterator[bytes], out: Path) -> None:
    """Into a file that is there when it is whole, and not before."""
    # beside a pipe or /dev/stdout nothing may be made, and nothing comes in its place
    plain = out.is_file() or not out.exists()
    whole = out.resolve()  # a link stays one
    part = whole.with_name(f"{whole.name}.{secrets.token_hex(4)}.part") if plain else out
    try:
        with part.open("xb" if plain else "wb") as file:
            file.writelines(pieces)
        if plain:
            part.replace(whole)
    except OSError as e:
        raise Problem(t("cannot write {path}: {error}", path=out, error=e.strerror or e)) from e
    finally:
        if plain:
            with suppress(OSError):
                part.unlink()


def _counted(found: dict[str, object]) -> dict[str, object]:
    return found | {"handed_in": _handed_in(found) if found["taken_at"] else ""}


def _handed_in(found: dict[str, object]) -> int:
    every = found["submissions"]
    assert isinstance(every, list)
    return sum(bool(x["files"]) for x in every)
