"""Why somebody waits and until when, why a slice was taken back, how a run ended: in sentences."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache

from hub.core import schedules
from hub.core.forecast import Place, Wait
from hub.core.giving import CAUSES
from hub.core.hours import zone_of
from hub.core.lease import Lease, Why
from hub.core.runs import MESSAGES, Run
from hub.core.secret import NOT_YOURS
from hub.errors import Text
from hub.face import words

Clock = Callable[[datetime], str]
_STEP = 300  # seconds: a range is said in these, because one that moves each minute is no news
MARKED = re.compile(r"\{(\d{4}-[\dT:-]{14}Z)\}")  # what `marked` makes
_BY = "ended by "  # how the cause of a lease begins that a person has ended


def clock(zone: str, now: datetime) -> Clock:
    """How a moment is said, local in `zone`: 14:20 KST, with the date where it is on another day.

    With the zone, because whoever reads it in a terminal may have another clock beside it.
    """
    where = zone_of(zone)
    today = now.astimezone(where).date()

    def say(at: datetime) -> str:
        local = at.astimezone(where)
        return f"{local:%H:%M %Z}" if local.date() == today else f"{local:%Y-%m-%d %H:%M %Z}"

    return say


def marked(at: datetime) -> str:
    """A moment as a page's script finds it and says it in the browser's own time."""
    return f"{{{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}}}"


def rounded(
    earliest: datetime | None, latest: datetime | None
) -> tuple[datetime | None, datetime | None]:
    """A range in whole steps of five minutes, that holds the one given; nothing of nothing."""
    if earliest is None or latest is None:
        return None, None
    first, last = earliest.timestamp() // _STEP, -(-latest.timestamp() // _STEP)
    return datetime.fromtimestamp(first * _STEP, UTC), datetime.fromtimestamp(last * _STEP, UTC)


def why_it_waits(place: Place, say: Clock, *, out: int = 0, own: bool = True) -> Text:
    """Why a request waits, without when it ends.

    Args:
        out: slices of its size that nobody holds and nobody may have.
        own: it is told to whoever waits.
    """
    parts = [_cause(place, say)]
    if out and place.wait is not Wait.GONE:
        parts.append(Text("{count} of them can be given to nobody just now.", count=out))
    before = place.position - 1
    if not before:
        parts.append(Text("It is the next in the line."))
    elif own:
        parts.append(Text("{count} before you in the line.", count=before))
    else:
        parts.append(Text("{count} before it in the line.", count=before))
    return Text.joined(parts)


_UNTIL = {
    Wait.QUOTA: "The quota of this week is used up; the new week begins {time}.",
    Wait.SHORT: "A {profile} is free until {time} only, and this run took longer before.",
    Wait.RESERVED: "Waits for a {profile}: what is not held is reserved for others until {time}.",
}


def _cause(place: Place, say: Clock) -> Text:
    common = {"profile": place.profile, "held": place.held, "total": place.total}
    if place.wait is Wait.GONE:
        return Text(
            "No slice of size {profile} is here any more: the cards were cut anew. Leave the line, "
            "and choose another size.", profile=place.profile,
        )
    if place.opens and place.wait in _UNTIL:
        return Text(_UNTIL[place.wait], profile=place.profile, time=say(place.opens))
    if place.wait is Wait.RESERVED:
        return Text(
            "Waits for a {profile}: what is not held is reserved for others.",
            profile=place.profile,
        )
    if place.first_promised:
        return Text(
            "Waits for a {profile}: {held} of {total} are held, the first is promised until "
            "{time}.", time=say(place.first_promised), **common,
        )
    return Text("Waits for a {profile}: {held} of {total} are held.", **common)


def when_it_comes(place: Place, say: Clock, now: datetime) -> Text | None:
    """When the slice will come, as a range; None where nothing can be said."""
    earliest, latest = rounded(place.earliest, place.latest)
    if earliest is None or latest is None:
        return None
    if earliest <= now:
        return Text("Probably before {latest}.", latest=say(latest))
    return Text(
        "Probably between {earliest} and {latest}.", earliest=say(earliest), latest=say(latest)
    )


def told_to_who_waits(place: Place, say: Clock, *, now: datetime) -> Text:
    """All that the pending page says about a place."""
    parts = [
        Text(
            "You are number {position} in the line for {profile}.", position=place.position,
            profile=place.profile,
        ),
        _cause(place, say), when_it_comes(place, say, now),
    ]
    return Text.joined(x for x in parts if x is not None)


def why_it_ended(lease: Lease, say: Clock, *, reader: str = "") -> Text | None:
    """Why a lease was ended from outside; None where it was not, or by `reader`, its holder."""
    left = lease.draining_at or lease.ended_at
    if lease.why is None or left is None:
        return None
    if lease.why is Why.HAND:
        by, _, reason = lease.cause.removeprefix(_BY).partition(": ")
        return None if by == reader else _by_hand(by, reason.rstrip(" ."))
    if lease.why in (Why.WAITING, Why.IDLE):
        return _for_others(lease, say, left)
    if lease.why is Why.RESERVED:
        return Text(
            "Your slice was reserved for others, so it was yours until {time}. Your files are "
            "safe.", time=say(left),
        )
    if lease.why is Why.LIMIT:
        return Text(
            "The longest time for which somebody may hold a slice was over at {time}. Your files "
            "are safe, and you can ask again.", time=say(left),
        )
    return Text("Somebody in front of a screen needed the slice. Your files are safe.")


def _for_others(lease: Lease, say: Clock, left: datetime) -> Text:
    if lease.why is Why.IDLE:
        return Text(
            "Your slice went to somebody who waited: nothing had happened on it since {time}. Your "
            "files are safe.", time=say(lease.active_at or left),
        )
    return Text(
        "Your slice went to somebody who waited: its promised time was over at {time}. Your files "
        "are safe.", time=say(lease.promised or left),
    )


def _by_hand(by: str, reason: str) -> Text:
    who = Text("the operator") if by == "the operator" else by
    if reason:
        return Text(
            "It was ended by {who}: {reason}. Your files are safe.", who=who, reason=reason
        )
    return Text("It was ended by {who}. Your files are safe.", who=who)


# ---- what became of a run ------------------------------------------------------------------------

# all that a run's message may be made of; the longer before what it begins with
_TOLD = (
    *MESSAGES, *schedules.MESSAGES, "ended by {by}: {reason}", "ended by {by}", *CAUSES.values(),
    "its container never started", "its container exited", "its container is gone",
    "its run is over", "the operator", NOT_YOURS,
)
_PLACE = re.compile(r"\\\{(\w+)\\\}")
_PATTERNS = [(x, re.compile(_PLACE.sub(r"(?P<\1>.+?)", re.escape(x)))) for x in _TOLD]


def said(run: Run, language: str) -> Run:
    """The run as its reader is told of it. What the runner said stays as it is."""
    found = told(run.message, language)
    return run if found == run.message else replace(run, message=found)


def told(message: str, language: str) -> str:
    """A message that is kept in English, in its reader's language, where it is one of ours."""
    found = _found(message)
    return message if found is None else words.text(language, found)


@lru_cache(4096)
def _found(message: str) -> Text | None:
    """The text that a message was made of: a run keeps it in English, filled."""
    for template, pattern in _PATTERNS:
        found = pattern.fullmatch(message)
        if found:
            return Text(template, **{k: _found(x) or x for k, x in found.groupdict().items()})
    return None
