"""The roster: who is in which group, and as what. A bad line refuses the file and names itself."""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote

from hub.errors import BadInput

COLUMNS = ("name", "group", "role")


class Role(StrEnum):
    """What somebody is in a group; operator holds for the whole installation."""

    STUDENT = "student"
    INSTRUCTOR = "instructor"
    OPERATOR = "operator"


@dataclass(frozen=True, order=True)
class Member:
    """One person in one group. The same person may be in several groups, with a role in each."""

    name: str
    group: str
    role: Role


_RANK = {Role.STUDENT: 0, Role.INSTRUCTOR: 1, Role.OPERATOR: 2}
# letters and digits of any script (a group may be called 인공지능-2025); starts with one of them
_GROUP = re.compile(r"[^\W_][\w.-]{0,63}")
_LONGEST_NAME = 64


def parse(text: str, source: str) -> tuple[Member, ...]:
    """The members in a CSV text with the header `name,group,role`, in the order of their lines.

    Columns may stand in any order; blank lines and lines that begin with `#` are skipped.
    `source` is the file's name, for the messages.

    Raises:
        BadInput: every bad line as `source:line: problem`, one per line of the message.
    """
    lines = _lines(text.removeprefix("\ufeff"))
    columns = _header(lines, source)
    problems: list[str] = []
    found: dict[tuple[str, str], tuple[int, Member]] = {}
    for number, cells in lines[1:]:
        try:
            member = _member(cells, columns)
        except ValueError as e:
            problems.append(f"{source}:{number}: {e}")
            continue
        first, _ = found.setdefault((member.name, member.group), (number, member))
        if first != number:
            what = f"{member.name} is in {member.group} already, line {first}"
            problems.append(f"{source}:{number}: {what}")
    if problems:
        _refuse(problems)
    return tuple(member for _, member in found.values())


def role_of(members: Iterable[Member], name: str, group: str | None = None) -> Role | None:
    """The person's role in `group`, or the highest anywhere; None for somebody not listed."""
    roles = [m.role for m in members if m.name == name and group in (None, m.group)]
    return max(roles, key=_RANK.__getitem__, default=None)


def is_operator(members: Iterable[Member], name: str) -> bool:
    """Whether the person may see and end everything."""
    return role_of(members, name) is Role.OPERATOR


def groups_of(members: Iterable[Member], name: str) -> tuple[str, ...]:
    """The person's groups, in the order of the roster."""
    return tuple(m.group for m in members if m.name == name)


def check_group(name: str) -> None:
    """Refuse what cannot be a group's name.

    Raises:
        BadInput: says what a name looks like.
    """
    if not _GROUP.fullmatch(name):
        raise BadInput(
            "{name} is no name of a group: up to 64 letters, digits, '.', '_' and '-', a letter or "
            "digit first.", reason="group", name=repr(name[:_LONGEST_NAME]),
        )


def _lines(text: str) -> list[tuple[int, list[str]]]:
    """(line number, cells) of each line that says something.

    Line by line: no name holds a line end, and one open quote must not swallow the rest.
    """
    found = []
    # not splitlines(): it also splits at characters that a spreadsheet leaves in a cell
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        if line.strip(" \t,") and not line.lstrip().startswith("#"):
            cells = next(csv.reader(io.StringIO(line), skipinitialspace=True), [])
            found.append((number, [x.strip() for x in cells]))
    return found


def _header(lines: list[tuple[int, list[str]]], source: str) -> dict[str, int]:
    number, cells = lines[0] if lines else (1, [])
    names = [x.lower() for x in cells]
    if sorted(names) == sorted(COLUMNS):
        return {x: names.index(x) for x in COLUMNS}
    missing = [x for x in COLUMNS if x not in names]
    extra = [x for x in names if x not in COLUMNS]
    parts = [f"no column {', '.join(missing)}"] if missing else []
    parts += [f"unknown column {', '.join(extra)}"] if extra else []
    why = "; ".join(parts) or "a column stands twice"
    _refuse([f"{source}:{number}: the first line must be the header name,group,role: {why}"])
    return {}


def _member(cells: list[str], columns: dict[str, int]) -> Member:
    if len(cells) != len(COLUMNS):
        raise ValueError(f"{len(COLUMNS)} columns are needed (name,group,role), not {len(cells)}")
    name, group, role = (cells[columns[x]] for x in COLUMNS)
    _check_name(name)
    if not _GROUP.fullmatch(group):
        raise ValueError(
            f"group {group!r}: up to 64 letters, digits, '.', '_' and '-', a letter or digit first"
        )
    if role not in set(Role):
        raise ValueError(f"unknown role {role!r}: it is one of {', '.join(Role)}")
    return Member(name, group, Role(role))


def _check_name(name: str) -> None:
    """JupyterHub's own rule (Authenticator.validate_username), and nothing that cannot be seen."""
    if not name:
        raise ValueError("the name is empty")
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"name {name[:20]!r}…: longer than {_LONGEST_NAME} characters")
    if "/" in name or not name.isprintable():
        raise ValueError(f"name {name!r}: '/' and characters that cannot be seen are not allowed")
    if set(unquote(name)) == {"."}:
        raise ValueError(f"name {name!r}: only dots")
    # JupyterHub folds what people type to lower case; a name that it cannot reach never logs in
    if name != name.lower():
        raise ValueError(f"name {name!r}: write it in lower case, as JupyterHub does")


def _refuse(problems: list[str]) -> None:
    raise BadInput(
        "The roster was not read; nothing was changed.\n{problems}",
        reason="roster", problems="\n".join(problems),
    )
