"""Handing in: what a collection may be called and take, and whose a returned file is."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from hub.core.courses import Collection, is_course_name
from hub.core.names import safe_name
from hub.core.roster import Member, Role
from hub.errors import BadInput

FEEDBACK = "feedback"  # in a course's folder
_PLAIN = re.compile(r"[\w@+-][\w.@+-]*")
_DEEPEST, _LONGEST = 10, 200  # folders in folders; bytes of a name
_SHOWN = 8


@dataclass(frozen=True)
class Returned:
    """What was laid into one student's folder; `problem` where not all of it could be.

    `new`: how many of the files were not there so before.
    """

    user: str
    files: int
    problem: str = ""
    new: int = 0


def check_name(name: str) -> str:
    """The name of a collection, safe in a path and a URL.

    Raises:
        BadInput: reason "collection".
    """
    if not is_course_name(name):
        raise BadInput(
            "A collection's name has 1 to 40 lower-case letters, digits and dashes, and begins "
            "with a letter or digit: {name}.", reason="collection", name=repr(name[:60]),
        )
    return name


def check_path(path: str) -> str:
    """A folder of the course, without slashes at its ends.

    Raises:
        BadInput: reason "path": it leads elsewhere, or is where feedback goes.
    """
    found = path.strip("/")
    parts = found.split("/")
    bad = any(x in ("", ".", "..") or x.startswith(".") or not x.isprintable() for x in parts)
    bad = bad or any(len(x.encode()) > _LONGEST for x in parts)
    if bad or len(parts) > _DEEPEST or parts[0] == FEEDBACK:
        raise BadInput(
            "Name a folder in the course's folder that students work in, like homework1: {path}.",
            reason="path", path=repr(path[:200]),
        )
    return found


def who_hands_in(members: Iterable[Member], group: str) -> list[str]:
    """The students of a group, by name."""
    return sorted({x.name for x in members if x.group == group and x.role is Role.STUDENT})


def folder_name(user: str) -> str:
    """A person's folder in an archive: the name, where a file may be called so."""
    return user if _PLAIN.fullmatch(user) else safe_name(user)


def returned(
    paths: Iterable[str], collection: Collection, people: Iterable[str]
) -> Mapping[str, list[tuple[str, str]]]:
    """Person → (path in what was sent, path in their folder), of `<person>/…` for each file.

    nbgrader writes `<person>/<assignment>/…`: where that is the collection's name it is left out.

    Raises:
        BadInput: reason "feedback": a folder is nobody's; nothing is returned then.
    """
    whose = {folder_name(x): x for x in people}
    made: dict[str, list[tuple[str, str]]] = {}
    unknown = []
    for path in paths:
        who, *rest = PurePosixPath(path).parts
        if len(rest) > 1 and rest[0] == collection.name:
            rest = rest[1:]
        if who not in whose or not rest:
            unknown.append(path)
            continue
        made.setdefault(whose[who], []).append((path, "/".join(rest)))
    if unknown or not made:
        raise BadInput(
            "Each file lies in a folder with a student's name: student1/grade.html. These do not: "
            "{paths}", reason="feedback", paths=", ".join(sorted(unknown)[:_SHOWN]) or "-",
        )
    return made
