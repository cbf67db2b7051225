"""Metadata that both sides changed: key by key, the student's where both changed one."""

from collections.abc import Mapping
from typing import Any

_NONE = object()
# what Lab and kernels write by themselves: nobody's change
_THEIR_OWN = {"execution", "ExecuteTime", "collapsed", "scrolled", "language_info", "widgets"}

Metadata = Mapping[str, Any]


def united(base: Metadata, new: Metadata, mine: Metadata) -> dict[str, Any]:
    """The student's metadata with what the instructor changed and the student did not."""
    found = {}
    for key, value in mine.items():
        ours = value if value != base.get(key, _NONE) else new.get(key, _NONE)
        if ours is not _NONE:
            found[key] = ours
    return found | {k: v for k, v in new.items() if k not in mine and k not in base}


def lost(base: Metadata, new: Metadata, mine: Metadata) -> list[str]:
    """The keys that both changed, each in another way: the instructor's change is not in it."""
    return sorted(
        key for key in {*base, *new}
        if key not in _THEIR_OWN
        and (theirs := new.get(key, _NONE)) != (old := base.get(key, _NONE))
        and mine.get(key, _NONE) not in (old, theirs)
    )
