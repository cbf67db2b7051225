"""`madang course …`: what is new in one's courses, and publishing them. Exit codes: see `cli`.

`check` ends with 1 where a notebook did not run to its end.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import typer

from madang.client import Client, Problem
from madang.messages import t
from madang.tables import Json, plain, show, show_fields, show_json

_HELP = """Your courses: what is new in them, and undoing it; for instructors, publishing.

\b
    madang course update deep-learning
    madang course take deep-learning week1/tensors.ipynb a5c2e1
    madang course undo deep-learning
\b
    madang course preview deep-learning/
    madang course check deep-learning/ --profile 1g.5gb
    madang course publish deep-learning/ --notes "Week 2"

\b
Instructors' verbs need a token of your own in MADANG_TOKEN: that of a server may not.
Exit codes:
    0  done, or nothing new
    1  `check`: a notebook did not run to its end; `preview`: it would be refused
    2  refused, or a mistake in what was typed
    3  Madang is not reached
  130  left with Ctrl-C; runs of `check` go on
"""
course = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=_HELP)
_FOLDER = "courses"  # in the home

Which = Annotated[str, typer.Argument(
    metavar="[COURSE]", help="Its name. [default: your only one, or that of this folder]")]
Update = Annotated[int, typer.Argument(
    metavar="[N]", min=0, show_default=False, help="Which. [default: the last]")]
File = Annotated[str, typer.Argument(metavar="FILE", help="week1/tensors.ipynb")]
_LIST = {
    "COURSE": "name", "TITLE": "title", "YOURS": "mine", "NEWEST": "newest",
    "SIDE BY SIDE": "conflicts", "ROLE": "role",
}
_RELEASES = {
    "RELEASE": "number", "AT": "at", "BY": "by", "FILES": "files", "WITHDRAWN": "withdrawn_at",
    "NOTES": "notes",
}
_UPDATES = {
    "UPDATE": "update", "RELEASE": "release", "AT": "at", "SIDE BY SIDE": "conflicts",
    "FILES": "count", "UNDONE": "undone_at",
}


# ---- looking ------------------------------------------------------------------------------------


@course.command("list")
def list_(as_json: Json = False) -> None:
    """Your courses: the release you have, the newest, and where two versions stand side by side."""
    found = Client().call("GET", "courses")
    show(found, _LIST, as_json=as_json, none=t("no courses"))


@course.command("show")
def show_(which: Which = "", as_json: Json = False) -> None:
    """A course and its releases."""
    client = Client()
    found = client.call("GET", f"courses/{named(client, which)}")
    if as_json:
        show_json(found)
        return
    told = ("name", "title", "group", "role", "folder", "mine", "newest", "conflicts", "git")
    show_fields({k: found[k] for k in told if found[k] != 0}, width=10)
    print()
    rows = [x | {"notes": " ".join(plain(x["notes"]).split())} for x in found["releases"]]
    show(rows, _RELEASES, as_json=False, none=t("no release yet"))


@course.command("updates")
def updates(which: Which = "", number: Update = 0, as_json: Json = False) -> None:
    """What the updates of your folder did; of one of them, file by file and cell by cell."""
    client = Client()
    name = named(client, which)
    if number:
        found = client.call("GET", f"courses/{name}/updates/{number}")
        _tell(found, as_json=as_json, cells=True)
        return
    every = client.call("GET", f"courses/{name}/updates")
    rows = every if as_json else [x | {"count": len(x["files"])} for x in every]
    show(rows, _UPDATES, as_json=as_json, none=t("nothing was handed out to you yet"))


# ---- what a student does ------------------------------------------------------------------------


@course.command("update")
def update(
    which: Which = "",
    open_: Annotated[list[str] | None, typer.Option(
        "--open", metavar="FILE", help="Leave this one for later too.")] = None,
    as_json: Json = False,
) -> None:
    """Bring your folder up to date. What you have changed is kept, word by word.

    What is open in Lab comes when it is closed there; name with --open what another program has.
    """
    client = Client()
    name = named(client, which)
    asked = {"open": [_inside(x, name) for x in open_ or []]}
    found = client.call("POST", f"courses/{name}/update", json=asked, timeout=120)
    if found.get("nothing") and not as_json:
        print(t("{course}: nothing new", course=name))
        return
    _tell(found, as_json=as_json)


@course.command("undo")
def undo(which: Which = "", number: Update = 0, as_json: Json = False) -> None:
    """Put your folder back as it was before an update; what you changed since is kept."""
    client = Client()
    name = named(client, which)
    found = client.call("POST", f"courses/{name}/updates/{number or _last(client, name)}/undo")
    if as_json:
        show_json(found)
        return
    print(t("{course}: update {number} is undone", course=name, number=found["update"]))
    _files(found)


@course.command("fresh")
def fresh(
    file: File,
    which: Annotated[str, typer.Option("--course", help="[default: see the other verbs]")] = "",
    as_json: Json = False,
) -> None:
    """Take a file as it was handed out; yours is kept in a backup."""
    client = Client()
    name = named(client, which, file)
    asked = {"path": _inside(file, name)}
    found = client.call("POST", f"courses/{name}/fresh", json=asked)
    if found.get("nothing") and not as_json:
        print(t("{path} is as it was handed out", path=asked["path"]))
        return
    _tell(found, as_json=as_json)


@course.command("take")
def take(
    file: File,
    id: Annotated[str, typer.Argument(metavar="CELL", help="The id of your cell.")],
    mine: Annotated[bool, typer.Option("--mine", help="Keep yours instead.")] = False,
    which: Annotated[str, typer.Option("--course", help="[default: see the other verbs]")] = "",
    as_json: Json = False,
) -> None:
    """Where two versions of a cell stand side by side: take the instructor's."""
    client = Client()
    name = named(client, which, file)
    asked = {"path": _inside(file, name), "cell": id, "take": "mine" if mine else "instructor"}
    found = client.call("POST", f"courses/{name}/cells", json=asked)
    if as_json:
        show_json(found)
        return
    print(t("{path}: {count} left side by side", path=plain(found["path"]),
            count=found["conflicts"]))


# ---- which course, which file -------------------------------------------------------------------


def named(client: Client, which: str, file: str = "") -> str:
    """The course that is meant: by its name, the file or the folder one is in, or the only one.

    Raises:
        Problem: none, or several.
    """
    if which:
        return which.strip("/").rpartition("/")[2]
    found = _course_of(Path(file)) if file else ""
    found = found or _course_of(Path())
    if found:
        return found
    every = [x["name"] for x in client.call("GET", "courses")]
    if len(every) == 1:
        return str(every[0])
    if not every:
        raise Problem(t("no courses"))
    raise Problem(t("say which course, by its name or with --course: {names}",
                    names=", ".join(every)))


def _course_of(path: Path) -> str:
    """The course in whose folder of the home this lies; "" for none."""
    root = Path.home() / _FOLDER
    whole = Path.cwd() / path
    return whole.relative_to(root).parts[0] if (
        whole.is_relative_to(root) and whole != root
    ) else ""


def _inside(file: str, name: str) -> str:
    """A file's path in the course's folder; a path in the home becomes one."""
    whole, folder = Path.cwd() / file, Path.home() / _FOLDER / name
    if whole.is_relative_to(folder):
        return whole.relative_to(folder).as_posix()
    return str(PurePosixPath(file))


def _last(client: Client, name: str) -> int:
    for one in client.call("GET", f"courses/{name}/updates"):
        if not one["undone_at"]:
            return int(one["update"])
    raise Problem(t("{course}: there is no update to undo", course=name))


# ---- words --------------------------------------------------------------------------------------


def _tell(found: Mapping[str, Any], *, as_json: bool, cells: bool = False) -> None:
    if as_json:
        show_json(found)
        return
    print(t("{course}: release {release}, update {update}", course=found["course"],
            release=found["release"], update=found["update"]))
    _files(found, cells=cells)
    if found["conflicts"]:
        print(t("side by side: {count}; choose in Lab, on Madang's page, or with "
                "`madang course take FILE CELL [--mine]`", count=found["conflicts"]))


def _files(found: Mapping[str, Any], *, cells: bool = False) -> None:
    for one in found["files"]:
        beside = f" → {plain(one['beside'])}" if one["beside"] else ""
        print(f"  {plain(one['path'])}: {one['said']}{beside}")
        for text in [plain(one["note"])] if one["note"] else []:
            print(f"    {text}")
        for x in one["cells"]:
            if cells or x["fate"] == "beside":
                print(f"    {plain(x['id'])}: {x['said']}"
                      + (f" ({plain(x['why'])})" if x["why"] else ""))
