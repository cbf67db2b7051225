"""Groups: their settings as somebody typed them, and what each has used of what is its share."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from hub.core.nouns import State
from hub.core.roster import Member, Role
from hub.core.rules import Group
from hub.core.share import Standing, group_of, shares, standing
from hub.errors import BadInput, Text

MOST_WEIGHT = 1000
_MOST_HOURS = 1_000_000
_LONGEST = 40  # characters of what somebody typed, in an answer
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
_HOURS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?h?", re.ASCII | re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_NONE = frozenset({"", "none"})


@dataclass(frozen=True)
class GroupFacts:
    """A group as it stands. `share`: its part of the whole by weight; `use`: of all that was used.

    `week_used` in slice-hours; `members` counts its instructors too.
    """

    group: Group
    members: int
    instructors: tuple[str, ...]
    share: float
    use: float
    week_used: float


@dataclass(frozen=True)
class OwnFacts:
    """What one person has used in a group's name this week, and may.

    `quota`: slice-hours in a week; `left`: what quotas still allow, of the person's and the
    group's the smaller; None is no limit. `share`: the group's part of the whole by weight;
    `use`: the group's part of all that was used.
    """

    group: str
    used: float
    quota: float | None
    left: float | None
    share: float
    use: float


def changed(group: Group, changes: Mapping[str, object], today: date) -> Group:
    """The group with other settings: `weight`, `quota`, `user_quota`, `ends`.

    A value is a number, a text ("40", "40h", "none", "2026-12-18"), or None where there is no
    limit and no end. `today` is local in the house's time zone.

    Raises:
        BadInput: reason "group"; names every value that cannot be.
    """
    problems: list[Text] = []
    found: dict[str, object] = {}
    for key, value in changes.items():
        try:
            found[key] = read = _READERS[key](value)
            # a form sends all that it shows: what stays as it was is not judged anew
            if read != getattr(group, key):
                _check(key, read, today)
        except _Wrong as e:
            problems.append(e.text)
    if problems:
        raise BadInput(
            "Nothing was changed. {problems}", reason="group", problems=Text.joined(problems)
        )
    return replace(group, **found)  # type: ignore[arg-type]


class _Wrong(Exception):
    def __init__(self, text: Text) -> None:
        super().__init__(str(text))
        self.text = text


def _weight(value: object) -> float:
    text = _text(value)
    weight = float(text) if _NUMBER.fullmatch(text) else 0.0
    if not 0 < weight <= MOST_WEIGHT:
        raise _Wrong(Text(
            "The weight {value} cannot be: it is a number above 0, at most {most}.",
            value=_shown(value), most=MOST_WEIGHT,
        ))
    return weight


def _quota(value: object) -> float | None:
    text = _text(value)
    if value is None or text.lower() in _NONE:
        return None
    read = _HOURS.fullmatch(text)
    if read is None or float(read[1]) > _MOST_HOURS:
        raise _Wrong(Text(
            "The quota {value} cannot be read: write slice-hours in a week, like 40 or 40h, or "
            "none for no limit.", value=_shown(value),
        ))
    return float(read[1])


def _ends(value: object) -> date | None:
    text = _text(value)
    if value is None or text.lower() in _NONE:
        return None
    try:
        return date.fromisoformat(text if _DATE.fullmatch(text) else "")
    except ValueError as e:
        raise _Wrong(Text(
            "The last day {value} is no date: write it like 2026-12-18, or none.",
            value=_shown(value),
        )) from e


_READERS: Mapping[str, Callable[[object], object]] = {
    "weight": _weight, "quota": _quota, "user_quota": _quota, "ends": _ends,
}


def _check(key: str, value: object, today: date) -> None:
    """Refuse what can be read, and can only be a mistake: it would let nobody ask any more."""
    if key == "ends" and isinstance(value, date) and value < today:
        raise _Wrong(Text(
            "The last day {day} is over: give {today} or a later one, or none for no end.",
            day=value, today=today,
        ))
    if key != "ends" and value == 0:
        raise _Wrong(Text(
            "A quota of 0 cannot be: it is above 0; none takes it away. To let a group ask no "
            "more, give its last day."
        ))


def _text(value: object) -> str:
    """What was typed; a number as its text, anything else as one that no reader takes."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return f"{value:f}"
    return "?"


def _shown(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


# ---- what each has used -------------------------------------------------------------------------


def facts(state: State, members: Iterable[Member], now: datetime) -> tuple[GroupFacts, ...]:
    """Every group of the roster and every one with settings, by name."""
    people, used = tuple(members), standing(state, now)
    names = {x.group for x in people} | state.house.groups.keys()
    whole, parts = _whole(used), shares(state.house, names)
    return tuple(
        GroupFacts(
            group_of(state.house, name), len({x.name for x in people if x.group == name}),
            tuple(sorted(
                x.name for x in people if x.group == name and x.role is Role.INSTRUCTOR
            )),
            parts[name], used.groups.get(name, 0.0) / whole, used.group_week.get(name, 0.0),
        )
        for name in sorted(names)
    )


def own_facts(
    state: State, members: Iterable[Member], user: str, now: datetime,
    used: Standing | None = None,
) -> tuple[OwnFacts, ...]:
    """One person's groups in the order of the roster; who is in none has the group "".

    `used`: what `standing` said at `now`, where somebody has asked already.
    """
    people, used = tuple(members), used or standing(state, now)
    own = tuple(dict.fromkeys(x.group for x in people if x.name == user)) or ("",)
    names = {x.group for x in people} | state.house.groups.keys()
    parts, whole = shares(state.house, names), _whole(used)
    return tuple(
        OwnFacts(
            name, used.week.get((name, user), 0.0), group_of(state.house, name).user_quota,
            _finite(used.left(name, user)),
            parts.get(name, 0.0), used.groups.get(name, 0.0) / whole,
        )
        for name in own
    )


def _whole(used: Standing) -> float:
    return sum(used.groups.values()) or 1.0


def _finite(hours: float) -> float | None:
    return None if math.isinf(hours) else max(0.0, hours)
