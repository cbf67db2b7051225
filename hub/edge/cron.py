"""When a schedule's slots are. croniter reads the five fields; the clocks are `core.hours`'.

Slots are worked out in local time without a zone, and each is a moment after that: what the clock
skips comes at the first moment after it, what comes twice is meant the first time. croniter's own
way over a change differs between its versions, and has times that are two moments.
"""

import re
from datetime import datetime, timedelta
from typing import Any

from croniter import croniter

from hub.core.hours import local_of, moment, zone_of
from hub.core.schedules import Slot
from hub.errors import BadInput

_LONGEST = 100  # characters: croniter takes half a second for a list of 20,000 minutes
_YEARS = 9  # from one 29 February to the next, over a year 2100
_FIELDS = 5
_WORDS = frozenset({
    "mon", "tue", "wed", "thu", "fri", "sat", "sun", "jan", "feb", "mar", "apr", "may", "jun",
    "jul", "aug", "sep", "oct", "nov", "dec", "l", "w",
})
_MINUTE, _SECOND, _LONG_FOLD = timedelta(minutes=1), timedelta(seconds=1), timedelta(hours=3)
_ANY = datetime(2026, 1, 1)  # noqa: DTZ001 - local time without a zone is the point


def check(cron: str) -> str:
    """The same five fields, spaces tidied.

    Raises:
        BadInput: reason "schedule": not five fields, not understood, or it never comes. Words
            beside days and months are refused: croniter's R is another time at each look.
    """
    fields = cron.split()
    words = set(re.findall(r"[^\W\d_]+", cron.lower()))
    if len(cron) > _LONGEST or len(fields) != _FIELDS or not words <= _WORDS:
        raise _refused(cron)
    tidy = " ".join(fields)
    try:
        _from(tidy, _ANY).get_next()
    except (ValueError, KeyError, AttributeError) as e:
        raise _refused(cron) from e
    return tidy


def _refused(cron: str) -> BadInput:
    return BadInput(
        "{cron} is no time of a schedule. Write five fields, minute hour day month weekday: "
        "“0 2 * * *” is each night at 02:00, “30 18 * * mon-fri” 18:30 on weekdays.",
        reason="schedule", cron=repr(cron[:_LONGEST]),
    )


def following(cron: str, zone: str, after: datetime) -> Slot:
    """The first slot after this moment."""
    where = zone_of(zone)
    found = _from(cron, local_of(after, where))
    while True:
        # in the second of two equal hours there are slots whose moment was in the first
        slot = _slot(found.get_next(), zone)
        if slot.at > after:
            return slot


def upcoming(cron: str, zone: str, after: datetime, count: int) -> list[Slot]:
    """So many slots after this moment."""
    found: list[Slot] = []
    for _ in range(count):
        found.append(following(cron, zone, found[-1].at if found else after))
    return found


def latest(cron: str, zone: str, at: datetime) -> Slot:
    """The last slot at this moment or before it."""
    where = zone_of(zone)
    begin = local_of(at, where).replace(second=0, microsecond=0)
    if at.astimezone(where).fold:
        # the clock has gone back: slots that it will show once more are over
        begin += _LONG_FOLD
    found = _from(cron, begin + _SECOND)
    while True:
        slot = _slot(found.get_prev(), zone)
        if slot.at <= at:
            return slot


def _slot(local: datetime, zone: str) -> Slot:
    return Slot(local, moment(local, zone_of(zone)))


def _from(cron: str, local: datetime) -> Any:
    return croniter(cron, local, ret_type=datetime, max_years_between_matches=_YEARS)
