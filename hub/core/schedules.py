"""Schedules: when runs are made by themselves, and what becomes of each slot.

A slot is a local date-time without an offset. There is one occurrence of it, whatever the clocks
do and however often a service is killed: it is written together with its runs.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import MAXYEAR, MINYEAR, datetime, time, timedelta
from enum import StrEnum

from hub.core.hours import DAY, local_of, moment, zone_of
from hub.core.notebook import Json
from hub.core.runs import Run
from hub.errors import BadInput

# a service that was started anew, or a machine that slept for a moment, is not late
PROMPT = timedelta(minutes=5)
MOST_CATCH_UP = 24 * 14  # hours
_AHEAD = timedelta(days=366)
_LATE = timedelta(minutes=1)  # typing and sending take their time
_NAME_MOST = 64
_CATCH_UP = re.compile(r"([1-9]\d{0,2})\s*h", re.ASCII)
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]([01]\d|2[0-3]):[0-5]\d", re.ASCII)


class Overlap(StrEnum):
    """What a slot comes to whose schedule's earlier runs have not ended."""

    SKIP = "skip"
    QUEUE = "queue"
    REPLACE = "replace"


class Outcome(StrEnum):
    """What became of a slot."""

    RUN = "run"
    SKIPPED = "skipped"  # the one before had not ended
    MISSED = "missed"  # nobody was there to run it, and it was not to be caught up
    REFUSED = "refused"  # its runs could not be made


@dataclass(frozen=True)
class Slot:
    """One time of a schedule: as the clock on the wall shows it, and the moment that it means."""

    local: datetime
    at: datetime

    @property
    def name(self) -> str:
        """The slot as it is kept: 2026-11-24T02:00."""
        return self.local.isoformat(timespec="minutes")


@dataclass(frozen=True)
class Schedule:
    """When which notebook is run, for whom and with what.

    `cron` has five fields, local in `zone`. `notebook` is its name; it lies with its folder in the
    host's files, under `input_id`. `sweep`: name → values, empty for one run. `catch_up`: hours
    within which the latest slot that nobody was there for is run after all, 0 for never. `source`:
    "person" or "file:NAME". `seen`: slots up to this moment have had their turn. `next_at`: the
    next one.
    """

    id: str
    user: str
    name: str
    cron: str
    zone: str
    notebook: str
    profile: str
    made_at: datetime
    seen: datetime
    next_at: datetime | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict)
    sweep: Mapping[str, Sequence[Json]] = field(default_factory=dict)
    image: str = ""
    cwd: str = ""
    timeout: int = 0
    retries: int = 0
    catch_up: int = 0
    overlap: Overlap = Overlap.SKIP
    paused: bool = False
    notify: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    group: str = ""
    source: str = "person"
    input: str = ""

    @property
    def input_id(self) -> str:
        """Under which name the host keeps its notebook: each new one has a name of its own."""
        return self.input or self.id


@dataclass(frozen=True)
class Plan:
    """When a schedule is to run, as somebody writes it; what it runs is a `runs.Submission`."""

    name: str
    cron: str
    zone: str = ""
    catch_up: str = "none"
    overlap: str = "skip"
    paused: bool = False
    source: str = "person"


@dataclass(frozen=True)
class Occurrence:
    """What became of one slot; `run` or `sweep` is what was made, `message` why nothing was."""

    schedule: str
    slot: str
    at: datetime
    made_at: datetime
    outcome: Outcome
    run: str = ""
    sweep: str = ""
    message: str = ""


@dataclass(frozen=True)
class Unrun:
    """A slot of which nothing was made, with the schedule that it is of."""

    schedule: Schedule
    seen: Occurrence


# an occurrence's message; whoever shows it knows it by these
SKIPPED = "the earlier run {run} had not ended"
MISSED = "nothing ran here at that time"
UNKNOWN_OWNER = "{user} is not in the roster"
MESSAGES = (SKIPPED, MISSED, UNKNOWN_OWNER)


def is_late(schedule: Schedule, slot: Slot, now: datetime) -> bool:
    """Whether this slot was missed, and is too old to be caught up."""
    return now - slot.at > max(PROMPT, timedelta(hours=schedule.catch_up))


def in_the_way(schedule: Schedule, open_runs: Iterable[Run]) -> list[Run]:
    """Runs of this schedule that have not ended, oldest first."""
    mine = [x for x in open_runs if x.schedule == schedule.id and not x.done]
    return sorted(mine, key=lambda x: (x.asked_at, x.id))


def check_name(name: str) -> str:
    """The name without spaces around it.

    Raises:
        BadInput: reason "schedule": none, too long, or not in one line.
    """
    name = name.strip()
    if not name or len(name) > _NAME_MOST or not name.isprintable():
        raise BadInput(
            "A schedule needs a name of at most {most} letters.", reason="schedule",
            most=_NAME_MOST,
        )
    return name


def check_zone(zone: str) -> None:
    """Refuse a time zone that there is not.

    Raises:
        BadInput: reason "schedule".
    """
    try:
        zone_of(zone)
    except (KeyError, ValueError, OSError) as e:
        raise BadInput(
            "There is no time zone {zone}. Write it like Asia/Seoul or Europe/Berlin.",
            reason="schedule", zone=repr(zone[:_NAME_MOST]),
        ) from e


def catch_up_of(text: str) -> int:
    """`none` or `6h` in hours.

    Raises:
        BadInput: reason "schedule".
    """
    found = _CATCH_UP.fullmatch(text.strip())
    hours = int(found[1]) if found else 0
    if (not found and text.strip() not in {"", "none"}) or hours > MOST_CATCH_UP:
        raise BadInput(
            "{value} is no time to catch up: write none, or hours like 6h, at most {most}h.",
            reason="schedule", value=repr(text[:_NAME_MOST]), most=MOST_CATCH_UP,
        )
    return hours


def overlap_of(text: str) -> Overlap:
    """skip, queue or replace; skip for an empty text.

    Raises:
        BadInput: reason "schedule".
    """
    try:
        return Overlap(text or "skip")
    except ValueError as e:
        raise BadInput(
            "{value} is no way to treat runs that overlap: write skip, queue or replace.",
            reason="schedule", value=repr(text[:_NAME_MOST]),
        ) from e


def moment_of(text: str, zone: str, now: datetime) -> datetime:
    """“2026-11-24T02:00” in `zone` as a moment (UTC); “02:00” is the next such time.

    Raises:
        BadInput: reason "at": no such time, in the past, or more than a year away.
    """
    where, text = zone_of(zone), text.strip()
    clock = _CLOCK.fullmatch(text)
    if clock:
        today = local_of(now, where).date()
        wall = time(int(clock[1]), int(clock[2]))
        found = (moment(datetime.combine(today + i * DAY, wall), where) for i in range(3))
        return next(x for x in found if x > now)
    at = _local(text)
    if at is None:
        raise BadInput(
            "{value} is no time. Write 02:00, or a date with a time: "
            "2027-03-02T02:00, in local time.", reason="at", value=repr(text[:_NAME_MOST]),
        )
    begins = moment(at, where)
    if not now - _LATE <= begins <= now + _AHEAD:
        raise BadInput(
            "{when} is in the past, or more than a year away; it is {time} in {zone} now.",
            reason="at", when=f"{at:%Y-%m-%d %H:%M}", zone=zone,
            time=f"{local_of(now, where):%Y-%m-%d %H:%M}",
        )
    return begins


def _local(text: str) -> datetime | None:
    if not _MOMENT.fullmatch(text):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    # the first and the last year have no day before and after them
    return found if MINYEAR < found.year < MAXYEAR else None
