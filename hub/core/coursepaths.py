"""Paths in a course, and the patterns that choose among them.

As in .gitignore: `*` and `?` are within one name, `**` is any number of folders; a pattern without
a `/` is looked for at every depth; one that names a folder takes all that is below it.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

MOST_PATTERN = 200  # characters
_DEEPEST = 20  # names of a pattern


def is_pattern(pattern: str) -> bool:
    """Whether this can choose paths."""
    parts = pattern.rstrip("/").split("/")
    return (
        0 < len(pattern) <= MOST_PATTERN and pattern.isprintable() and "\\" not in pattern
        and len(parts) <= _DEEPEST and all(x not in ("", ".", "..") for x in parts)
    )


def matches(pattern: str, path: str) -> bool:
    """Whether a pattern chooses this path, or a folder in which it lies."""
    return _matches(pattern.rstrip("/"), path)


@lru_cache(1 << 15)
def _matches(pattern: str, path: str) -> bool:
    wanted, names = pattern.split("/"), path.split("/")
    if len(wanted) == 1 and wanted[0] != "**":
        return any(fnmatchcase(x, wanted[0]) for x in names)
    return _begins(tuple(wanted), names)


def _begins(wanted: Sequence[str], names: Sequence[str]) -> bool:
    """Whether the first names, or all of them, are as wanted; one row of a table at a time."""
    # reached[i]: the first i names are as the wanted ones so far
    reached = [True] + [False] * len(names)
    for last, one in enumerate(wanted, 1):
        if one == "**":
            # at the end it stands for what is in a folder, not for the folder
            first = reached.index(True) if True in reached else len(reached)
            skip = 1 if last == len(wanted) else 0
            reached = [i >= first + skip for i in range(len(reached))]
        else:
            reached = [False] + [
                before and fnmatchcase(name, one)
                for before, name in zip(reached, names, strict=False)
            ]
    return any(reached)
