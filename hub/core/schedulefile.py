"""A file of schedules: one `[[schedule]]` each. A bad one refuses the file and names its line."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from hub.core.schedules import Plan
from hub.errors import BadInput, Text

_HEAD = re.compile(r"^[ \t]*\[\[[ \t]*schedule[ \t]*\]\]", re.MULTILINE)
_KEY = re.compile(r"^\s*([A-Za-z_-]+)\s*(?:=|\.)")
_NEEDED = ("name", "user", "notebook", "cron", "profile")
_TEXTS = (*_NEEDED, "zone", "image", "cwd", "catch_up", "overlap", "group")
_KINDS: Mapping[str, type] = {
    **dict.fromkeys(_TEXTS, str), "timeout": int, "retries": int, "paused": bool,
    "parameters": dict, "sweep": dict, "notify": list, "secrets": list,
}
_SAID = {
    str: Text("a text"), int: Text("a whole number"), bool: Text("true or false"),
    dict: Text("a table"), list: Text("a list of texts"),
}


@dataclass(frozen=True)
class Entry:
    """One schedule of a file. `notebook` is relative to the file; `lines`: key → its line."""

    plan: Plan
    user: str
    notebook: str
    values: Mapping[str, Any]
    line: int
    lines: Mapping[str, int] = field(default_factory=dict)

    def at(self, key: str) -> int:
        """The line of a key, or the entry's."""
        return self.lines.get(key, self.line)


def entries(text: str, data: Mapping[str, Any], file: str) -> list[Entry]:
    """The schedules of a file; `data` is its text as TOML reads it.

    Raises:
        BadInput: reason "schedules-file": the first problem, with its line.
    """
    for key in data:
        if key != "schedule":
            line = _line_of(text, rf"^[ \t]*\[*[ \t]*{re.escape(key)}\b")
            raise problem(file, line, Text("unknown key {key}", key=repr(key)))
    found = data.get("schedule", [])
    if not isinstance(found, list) or not all(isinstance(x, dict) for x in found):
        raise problem(file, 1, Text("each schedule begins with a line [[schedule]]"))
    heads = [text.count("\n", 0, x.start()) + 1 for x in _HEAD.finditer(text)]
    # a [[schedule]] inside a text over several lines: then lines cannot be told, but the rest can
    heads = heads if len(heads) == len(found) else [1] * len(found)
    made = [
        _entry(values, line, _lines(text, line), file)
        for values, line in zip(found, heads, strict=True)
    ]
    _check_twice(made, file)
    return made


def problem(file: str, line: int, why: Text | str) -> BadInput:
    """A refusal of the whole file."""
    return BadInput(
        "{file}, line {line}: {why}", reason="schedules-file", file=file, line=line, why=why
    )


def _entry(values: dict[str, Any], line: int, lines: Mapping[str, int], file: str) -> Entry:
    for key, value in values.items():
        at = lines.get(key, line)
        kind = _KINDS.get(key)
        if kind is None:
            raise problem(file, at, Text("unknown key {key}", key=repr(key)))
        # to Python true is a number
        wrong = not isinstance(value, kind) or (kind is int and isinstance(value, bool))
        if wrong or (kind is list and not all(isinstance(x, str) for x in value)):
            raise problem(file, at, Text("{key} must be {kind}", key=key, kind=_SAID[kind]))
        if kind is dict:
            _check_json(key, value, file, at)
    for key in _NEEDED:
        if not values.get(key):
            raise problem(file, line, Text("{key} is missing", key=key))
    _check_path(values["notebook"], file, lines.get("notebook", line))
    plan = Plan(
        name=values["name"], cron=values["cron"], zone=values.get("zone", ""),
        catch_up=values.get("catch_up", "none"), overlap=values.get("overlap", "skip"),
        paused=values.get("paused", False), source=f"file:{file}",
    )
    return Entry(plan, values["user"], values["notebook"], values, line, lines)


def _check_json(key: str, value: Mapping[str, Any], file: str, line: int) -> None:
    """TOML has dates, infinities and nan; parameters are JSON. A sweep's values are lists."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as e:
        raise problem(file, line, Text("{key}: {error}", key=key, error=e)) from e
    if key == "sweep" and not all(isinstance(x, list) for x in value.values()):
        raise problem(file, line, Text("each name in sweep needs a list of values"))


def _check_path(text: str, file: str, line: int) -> None:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or path.suffix != ".ipynb":
        raise problem(
            file, line, Text("notebook must be the path of an .ipynb beside or below this file")
        )


def _check_twice(made: Iterable[Entry], file: str) -> None:
    known: dict[tuple[str, str], Entry] = {}
    for entry in made:
        first = known.setdefault((entry.user, entry.plan.name.strip()), entry)
        if first is not entry:
            raise problem(file, entry.at("name"), Text(
                "{user} has a schedule {name} already, in line {first}", user=entry.user,
                name=repr(entry.plan.name), first=first.at("name"),
            ))


def _lines(text: str, head: int) -> dict[str, int]:
    """Key → its line, from the line after `head` to the next schedule."""
    found: dict[str, int] = {}
    for number, line in enumerate(text.splitlines()[head:], head + 1):
        if _HEAD.match(line):
            break
        # also [schedule.parameters], a table of its own
        key = _KEY.match(re.sub(r"^\s*\[\s*schedule\s*\.\s*([\w-]+)\s*\]", r"\1 =", line))
        if key:
            found.setdefault(key[1], number)
    return found


def _line_of(text: str, pattern: str) -> int:
    found = re.search(pattern, text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else 1
