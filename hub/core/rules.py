"""What fairness is told: the house's rules, groups, what was used, and who was promised what.

Data only. Slice-hours are hours of the smallest share of a card: an hour of a 1g counts 1, of a
3g (which blocks half the card's memory) 3.5, of a whole card 7.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta


@dataclass(frozen=True)
class Rules:
    """How long somebody may hold what others wait for, and how use is remembered.

    `half_life`: after it, use counts half. `entry`: time charged in advance when a slice is given,
    so that ten requests at once do not all look innocent. `patience`, `run_patience`: who has
    waited longer goes before everybody's share, the oldest first. `grace`: how long a reservation's
    slices stay free for its members. `margin`: how long before a reservation others have to leave.
    `week_day` and `week_time` (local time in `zone`): when the week of the quotas begins. `night`:
    from and to (local time), where runs are served by share like servers; None for no such hours.
    """

    min_hold: timedelta = timedelta(hours=1)
    max_hold: timedelta = timedelta(hours=12)
    run_hold: timedelta = timedelta(minutes=10)
    notice: timedelta = timedelta(minutes=15)
    idle: timedelta = timedelta(minutes=30)
    half_life: timedelta = timedelta(days=7)
    entry: timedelta = timedelta(minutes=30)
    patience: timedelta = timedelta(hours=4)
    run_patience: timedelta = timedelta(hours=24)
    grace: timedelta = timedelta(minutes=15)
    margin: timedelta = timedelta(minutes=10)
    shortest: timedelta = timedelta(minutes=10)
    zone: str = "UTC"
    week_day: int = 0
    week_time: time = time.min
    night: tuple[time, time] | None = None


@dataclass(frozen=True)
class Group:
    """A cohort, a course or a project. `weight` is its part of the whole against the others'.

    `quota` and `user_quota`: slice-hours in a week for the group and for each member; None is no
    limit. `ends`: the last day on which it may ask.
    """

    name: str
    weight: float = 1.0
    quota: float | None = None
    user_quota: float | None = None
    ends: date | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What one person used in one group's name, in slice-hours; of leases that have ended.

    `decayed` is worth that much at `at`, and less later; `week` lies in the week from `week_of` on.
    """

    decayed: float
    at: datetime
    week: float = 0.0
    week_of: datetime | None = None


@dataclass(frozen=True)
class Weekly:
    """Hours of the week: on each of `days` (0 is Monday) from `start` to `end`, local time.

    `last` is the last date, or None for ever. An `end` of 00:00 is midnight at the day's end.
    """

    days: tuple[int, ...]
    start: time
    end: time
    first: date
    last: date | None = None


@dataclass(frozen=True)
class Span:
    """From one moment to another, in local time without a zone (the reservation has it)."""

    begins: datetime
    ends: datetime


@dataclass(frozen=True)
class Reservation:
    """`count` slices of a profile, promised to the members of a group."""

    id: str
    group: str
    profile: str
    count: int
    when: Weekly | Span
    zone: str
    made_by: str = ""
    made_at: datetime | None = None
    note: str = ""


@dataclass(frozen=True, order=True)
class Window:
    """One occurrence of a reservation, in UTC; the end is outside."""

    begins: datetime
    ends: datetime


@dataclass(frozen=True)
class House:
    """All of this, as the state carries it. `usage` is by (group, user)."""

    rules: Rules = field(default_factory=Rules)
    groups: dict[str, Group] = field(default_factory=dict)
    usage: dict[tuple[str, str], Usage] = field(default_factory=dict)
    reservations: dict[str, Reservation] = field(default_factory=dict)
