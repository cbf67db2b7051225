"""What everybody used, and whose turn it is by it: two levels, with a half-life.

Charge of a lease: `Slice.rate` times time, in slice-hours. Old use fades continuously: used at age
a, an hour counts 2^(-a / half-life), so a span of use is an integral with a closed form, and
nothing needs to be recomputed while time passes. (Slurm's fair-share counts the same way, in steps
of PriorityCalcPeriod; the advance charge is Kueue's, which added it after people had used the lag.)
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from hub.core.nouns import Books, Lease, Stage, State
from hub.core.rules import Group, House, Rules, Usage
from hub.core.timetable import week_of

_HOUR = timedelta(hours=1)
_SECONDS = 3600.0
Who = tuple[str, str]  # (group, user)


def charged_to(house: House, lease: Lease) -> str:
    """The group whose share a lease uses: at its grant its reservation's, else the one asked for.

    Kept from then on: hours that were used must not move when a reservation is taken back.
    """
    if lease.charged:
        return lease.charged
    found = house.reservations.get(lease.reservation) if lease.reservation else None
    return found.group if found else lease.request.group


def faded(hours: float, since: datetime, now: datetime, half_life: timedelta) -> float:
    """What `hours` used at `since` still count at `now`."""
    return hours * math.pow(0.5, max(now - since, timedelta(0)) / half_life)


def span(rate: float, begin: datetime, end: datetime, now: datetime, half_life: timedelta) -> float:
    """What use at `rate` from `begin` to `end` counts at `now`, in slice-hours.

    The integral of rate · 2^(-(now - t) / half_life) dt; what lies after `now` counts in full.
    """
    ahead = max(timedelta(0), end - max(now, begin)) / _HOUR
    past = min(end, now)
    if past <= begin:
        return rate * ahead
    tau = half_life / _HOUR / math.log(2)
    young, old = (now - past) / _HOUR / tau, (now - begin) / _HOUR / tau
    return rate * (tau * (math.exp(-young) - math.exp(-old)) + ahead)


def week(now: datetime, rules: Rules) -> tuple[datetime, datetime]:
    """The week of the quotas that `now` lies in."""
    return week_of(now, rules.zone, rules.week_day, rules.week_time)


def in_week(lease: Lease, begin: datetime, end: datetime) -> float:
    """Slice-hours of a lease between two moments; one that goes on counts up to `end`."""
    if lease.granted_at is None:
        return 0.0
    till = min(lease.draining_at or end, end)
    return lease.rate * max(timedelta(0), till - max(lease.granted_at, begin)) / _HOUR


def book(house: House, lease: Lease) -> House:
    """The house after a lease has drained: its use goes from the lease into the books."""
    if lease.granted_at is None or lease.draining_at is None:
        return house
    now, rules = lease.draining_at, house.rules
    who = (charged_to(house, lease), lease.request.user)
    old = house.usage.get(who)
    begins, _ = week(now, rules)
    used = span(lease.rate, lease.granted_at, now, now, rules.half_life)
    this_week = in_week(lease, begins, now)
    if old is not None:
        used += faded(old.decayed, old.at, now, rules.half_life)
        this_week += old.week if old.week_of == begins else 0.0
    found = Usage(used, now, this_week, begins)
    if isinstance(house.usage, Books):
        house.usage.put(who, found)
        return house
    return replace(house, usage={**house.usage, who: found})


@dataclass(frozen=True)
class _Week:
    """What counts for the week's quotas. See `Standing`."""

    users: dict[Who, float] = field(default_factory=lambda: defaultdict(float))
    groups: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    ahead: dict[Who, float] = field(default_factory=lambda: defaultdict(float))
    group_ahead: dict[str, float] = field(default_factory=lambda: defaultdict(float))


class Standing:
    """What everybody has used by now. `charge` adds to it while slices are given away.

    `users`, `week`: by (group, user); `groups`, `group_week`: by group. Slice-hours. `ahead`,
    `group_ahead`: what is promised from now on and will count for the week's quota. `changes`: who
    was charged since, and what stood there before.
    """

    def __init__(
        self, house: House, users: dict[Who, float], groups: dict[str, float],
        count: Callable[[], _Week],
    ) -> None:
        self.house = house
        self.users, self.groups = users, groups
        self.changes: list[tuple[Who, float]] = []
        self._count = count
        self._promises: list[tuple[Who, float]] = []

    def give(self, group: str, user: str, rate: float, promised: timedelta) -> None:
        """Count a slice that is given now: its entry in advance, and its promise to the quota."""
        self.charge(group, user, rate * (self.house.rules.entry / _HOUR))
        self._promises.append(((group, user), rate * (promised / _HOUR)))

    def charge(self, group: str, user: str, hours: float) -> None:
        """Add to somebody's use."""
        who = (group, user)
        before = self.users.get(who, 0.0)
        self.changes.append((who, before))
        self.users[who] = before + hours
        self.groups[group] = self.groups.get(group, 0.0) + hours

    @cached_property
    def _counted(self) -> _Week:
        # counted when it is first asked for: where nobody has a quota, nobody asks
        return self._count()

    @property
    def _week(self) -> _Week:
        found = self._counted
        for who, hours in self._promises:
            found.ahead[who] += hours
            found.group_ahead[who[0]] += hours
        self._promises.clear()
        return found

    @property
    def week(self) -> Mapping[Who, float]:
        """By person: what counts for this week's quota."""
        return self._week.users

    @property
    def group_week(self) -> Mapping[str, float]:
        """By group: what counts for this week's quota."""
        return self._week.groups

    @property
    def ahead(self) -> Mapping[Who, float]:
        """By person: what is promised from now on in this week."""
        return self._week.ahead

    @property
    def group_ahead(self) -> Mapping[str, float]:
        """By group: what is promised from now on in this week."""
        return self._week.group_ahead

    def of_group(self, name: str) -> float:
        """A group's use for its weight; the lower, the sooner its members are served."""
        return self.groups.get(name, 0.0) / group_of(self.house, name).weight

    def over(self, group: str, user: str) -> tuple[float, float]:
        """How far over its share, the larger the further: (the group's, the person's in it)."""
        return self.of_group(group), self.users.get((group, user), 0.0)

    def left(self, group: str, user: str) -> float:
        """Slice-hours that the week's quotas still allow; infinite without one."""
        found = group_of(self.house, group)
        own = math.inf if found.user_quota is None else (
            found.user_quota - self.week.get((group, user), 0.0)
            - self.ahead.get((group, user), 0.0)
        )
        whole = math.inf if found.quota is None else (
            found.quota - self.group_week.get(group, 0.0) - self.group_ahead.get(group, 0.0)
        )
        return min(own, whole)


def standing(state: State, now: datetime) -> Standing:
    """Everybody's use at `now`: the books, and what is held now, at least `entry` of each."""
    house, usage, rules = state.house, state.house.usage, state.house.rules
    half, running, granted = rules.half_life, Stage.RUNNING, Stage.GRANTED
    held = [
        (x, x.granted_at) for x in state.leases.values()
        if x.granted_at is not None and (x.stage is running or x.stage is granted)
    ]
    # `faded` and `span` written out: this goes over everybody, every two seconds
    users = {
        who: x.decayed * 0.5 ** ((now - x.at) / half) if x.at < now else x.decayed
        for who, x in usage.items()
    }
    groups: dict[str, float] = defaultdict(float)
    for (group, _), hours in users.items():
        groups[group] += hours
    tau, entry, expm1 = half / _HOUR / math.log(2), rules.entry / _HOUR, math.expm1
    for lease, since in held:
        age, request = (now - since) / _HOUR, lease.request
        past = tau * -expm1(-age / tau) if age > 0 else 0.0
        hours = lease.rate * (past if age > entry else past + (entry - max(age, 0.0)))
        group = lease.charged or (charged_to(house, lease) if lease.reservation else request.group)
        who = (group, request.user)
        users[who] = users.get(who, 0.0) + hours
        groups[group] += hours
    return Standing(house, users, groups, lambda: _week_of(house, usage, held, now))


def _week_of(
    house: House, usage: Mapping[Who, Usage], held: Iterable[tuple[Lease, datetime]],
    now: datetime,
) -> _Week:
    found = _Week()
    begins, ends = week(now, house.rules)
    so_far = (now - begins) / _HOUR
    for who, old in usage.items():
        if old.week and old.week_of == begins:
            found.users[who] += old.week
            found.groups[who[0]] += old.week
    for lease, since in held:
        age, who = (now - since) / _HOUR, (charged_to(house, lease), lease.request.user)
        this_week = lease.rate * max(0.0, min(age, so_far))
        found.users[who] += this_week
        found.groups[who[0]] += this_week
        if lease.promised is not None and lease.promised > now:
            rest = lease.rate * ((min(lease.promised, ends) - now) / _HOUR)
            found.ahead[who] += rest
            found.group_ahead[who[0]] += rest
    return found


def group_of(house: House, name: str) -> Group:
    """A group's settings; one that nobody has set anything for has the defaults."""
    return house.groups.get(name) or Group(name)


def shares(house: House, names: Iterable[str]) -> Mapping[str, float]:
    """Each group's part of the whole by weight, 0 to 1."""
    weights = {x: group_of(house, x).weight for x in names}
    total = sum(weights.values()) or 1.0
    return {x: w / total for x, w in weights.items()}
