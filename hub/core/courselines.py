"""Two changes of one source, line by line, where they do not touch; and whether a source parses."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Any

_LINES_MOST = 400  # that differ: beyond it difflib takes seconds for sources made to hurt
_WORK_MOST = 4_000_000  # pairs of lines in one notebook
_PARSED_MOST = 16 * 1024  # characters: ast takes gigabytes for more of it
# cell magics whose body is Python; any other makes the cell a text for somebody else
_PYTHON_CELL = re.compile(r"%%(time|timeit|capture|prun)\b.*")
_LINE_MAGIC = re.compile(r"^([ \t]*)(?:[%!?].*|[^\s#\"'].*\?)$", re.MULTILINE)
_ASSIGNED_MAGIC = re.compile(r"^([\w.,\[\] \t]+=[ \t]*)[%!].*$", re.MULTILINE)


class Room:
    """How much is still compared for one notebook."""

    def __init__(self, work: int = _WORK_MOST) -> None:
        self._left = work

    def takes(self, old: Sequence[str], new: Sequence[str]) -> bool:
        """Whether these two may be compared."""
        if max(len(old), len(new)) > _LINES_MOST or len(old) * len(new) > self._left:
            return False
        self._left -= len(old) * len(new)
        return True


@dataclass(frozen=True)
class _Change:
    """Lines `first` up to `last` of the base are replaced by `lines`."""

    first: int
    last: int
    lines: tuple[str, ...]


def put_together(base: str, mine: str, new: str, room: Room) -> str | None:
    """A source with both changes; None where they touch, or where that would take too long.

    They touch where no unchanged line is between them; the same change on both sides is one.
    """
    lines = base.split("\n")
    ours = _changes(lines, mine.split("\n"), room)
    theirs = _changes(lines, new.split("\n"), room)
    if ours is None or theirs is None:
        return None
    both = _apart(ours, theirs)
    if both is None:
        return None
    found = "\n".join(_applied(lines, both))
    # with other neighbours difflib may pair other lines: what does not come out again the next
    # time is not to be trusted the first time
    again = _changes(lines, found.split("\n"), room)
    again = None if again is None else _apart(again, theirs)
    return found if again is not None and "\n".join(_applied(lines, again)) == found else None


def _changes(old: Sequence[str], new: Sequence[str], room: Room) -> list[_Change] | None:
    """What makes `new` of `old`, in order; None where that would take too long."""
    head = _alike(old, new)
    tail = _alike(old[head:][::-1], new[head:][::-1])
    old, new = old[head:len(old) - tail], new[head:len(new) - tail]
    if not room.takes(old, new):
        return None
    return [
        _Change(head + a, head + b, tuple(new[c:d]))
        for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        if tag != "equal"
    ]


def _alike(old: Sequence[str], new: Sequence[str]) -> int:
    """How many lines are the same from the beginning on."""
    return next(
        (i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b),
        min(len(old), len(new)),
    )


def _apart(ours: Sequence[_Change], theirs: Sequence[_Change]) -> list[_Change] | None:
    """The changes of both in order; None where two touch."""
    both = sorted({*ours, *theirs}, key=lambda x: (x.first, x.last))
    touch = any(b.first <= a.last for a, b in pairwise(both))
    return None if touch else both


def _applied(lines: Sequence[str], changes: Sequence[_Change]) -> Iterator[str]:
    at = 0
    for x in changes:
        yield from lines[at:x.first]
        yield from x.lines
        at = x.last
    yield from lines[at:]


# ---- Python --------------------------------------------------------------------------------------


def is_python(*notebooks: Mapping[str, Any]) -> bool:
    """Whether all of them say that their code is Python, or nothing of it."""
    return all(_language(x) == "python" for x in notebooks)


def _language(notebook: Mapping[str, Any]) -> str:
    meta = notebook.get("metadata")
    for part, key in (("language_info", "name"), ("kernelspec", "language")):
        found = meta.get(part) if isinstance(meta, Mapping) else None
        if isinstance(found, Mapping) and isinstance(found.get(key), str):
            return str(found[key]).lower()
    return "python"


def parses(source: str) -> bool:
    """Whether this is Python, with IPython's magics where they are not."""
    if len(source) > _PARSED_MOST:
        return False
    first, _, rest = source.lstrip().partition("\n")
    if first.startswith("%%"):
        if not _PYTHON_CELL.fullmatch(first):
            return False
        source = rest
    if _is_code(source):
        return True
    plain = _LINE_MAGIC.sub(r"\1pass", _ASSIGNED_MAGIC.sub(r"\1None", source))
    return plain != source and _is_code(plain)


def _is_code(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
