"""What if: a lab as somebody typed it, `min_hold=30m weights=a=2,b=1 more=A100-40:7g.40gb`."""

import re
from collections.abc import Collection
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

from hub.core.replay.contest import Lab, house_of
from hub.core.replay.jobs import NODE, slices_of
from hub.core.rules import Rules
from hub.errors import BadInput

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_TIME = re.compile(r"(\d+(?:\.\d+)?)([smhd])", re.ASCII)
_LONGEST = timedelta(days=366)
TIMES = tuple(x.name for x in fields(Rules) if isinstance(x.default, timedelta))
_KNOWN = (*TIMES, "weights", "cards", "more")


def lab_of(text: str, base: Lab, groups: Collection[str]) -> Lab:
    """The base with what the text changes; the text is its name.

    Settings are separated by spaces: a rule's time (`notice=5m`, `half_life=3d`), `weights=a=2,b=1`
    of some of `groups`, `cards=` instead of those there are or `more=` beside them, each
    `model:profile,…`, several separated by `;`.

    Raises:
        BadInput: reason "replay" for an unknown setting, group or value; as `slices_of`.
    """
    lab = replace(base, name=text)
    changes = text.split()
    if not changes:
        raise _unknown(text)
    for change in changes:
        name, _, value = change.partition("=")
        if name in TIMES:
            changed: dict[str, Any] = {name: time_of(value, change)}
            rules = replace(lab.house.rules, **changed)
            lab = replace(lab, house=replace(lab.house, rules=rules))
        elif name == "weights":
            lab = replace(lab, house=house_of(lab.house, weights_of(value, groups)))
        elif name == "cards":
            lab = replace(lab, slices=slices_of(_cards(value)))
        elif name == "more":
            more = slices_of(_cards(value), node=f"{NODE}+")
            lab = replace(lab, slices=(*lab.slices, *more))
        else:
            raise _unknown(change)
    return lab


def time_of(value: str, whole: str) -> timedelta:
    """A length of time: 90s, 30m, 1.5h, 7d.

    Raises:
        BadInput: reason "replay".
    """
    found = _TIME.fullmatch(value)
    length = timedelta(0)
    if found and len(found[1]) <= 9:  # noqa: PLR2004 - more digits are no time
        length = timedelta(seconds=float(found[1]) * _UNITS[found[2]])
    if not timedelta(0) < length <= _LONGEST:
        raise BadInput(
            "{whole}: write a time above 0 and up to a year like 90s, 30m, 1.5h or 7d.",
            reason="replay", whole=whole,
        )
    return length


def weights_of(text: str, groups: Collection[str]) -> dict[str, float]:
    """Group → weight, from `a=2,b=0.5`.

    Raises:
        BadInput: reason "replay": no such group, or no weight above 0.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.rpartition("=")
        try:
            weight = float(value)
        except ValueError:
            weight = 0.0
        if name.strip() not in groups or not 0 < weight < 1e6:  # noqa: PLR2004 - not endless
            raise BadInput(
                "weights: {part} is no group with a weight above 0. Write them like a=2,b=1; the "
                "groups are {groups}.", reason="replay", part=repr(part),
                groups=", ".join(sorted(groups)),
            )
        found[name.strip()] = weight
    return found


def _cards(value: str) -> list[str]:
    return [x for x in value.split(";") if x]


def _unknown(change: str) -> BadInput:
    return BadInput(
        "{change} cannot be compared. What can be changed: {known}, each as name=value.",
        reason="replay", change=repr(change), known=", ".join(_KNOWN),
    )
