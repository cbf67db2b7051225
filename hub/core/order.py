"""The order of those who wait for one size, and what "idle" and "overdue" mean."""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import chain

from hub.core.hours import local_of, zone_of
from hub.core.nouns import Kind, Lease
from hub.core.room import Rooms
from hub.core.rules import Rules
from hub.core.share import Standing

_SILENT = timedelta(minutes=5)
_GRAIN = 4  # use is compared in quarters of a slice-hour: below that, age decides


def overdue(lease: Lease, rules: Rules, now: datetime) -> bool:
    """Whether a request has waited beyond patience: it goes before everybody's share."""
    server = lease.request.kind is Kind.SERVER
    return now - lease.request.asked_at >= (rules.patience if server else rules.run_patience)


def at_night(rules: Rules, now: datetime) -> bool:
    """Whether runs are served like servers now."""
    if rules.night is None:
        return False
    begins, ends = rules.night
    at = local_of(now, zone_of(rules.zone)).time()
    # from 22:00 to 07:00 goes over midnight
    return begins <= at < ends if begins <= ends else at >= begins or at < ends


def idle_since(lease: Lease, now: datetime) -> datetime | None:
    """Since when nothing happens on a held slice; None where it works, or nobody can say.

    Silence is not idleness: who has not been heard of for five minutes is left alone.
    """
    if lease.heard_at is None or now - lease.heard_at > _SILENT:
        return None
    return max(x for x in (lease.active_at, lease.started_at, lease.granted_at) if x is not None)


def order(
    line: Iterable[Lease], rooms: Rooms, used: Standing, rules: Rules, now: datetime
) -> Iterator[Lease]:
    """Those who wait for one size (in any order), in the order in which they are served.

    Who has waited beyond patience goes before the others; beyond twice that, age alone counts. Runs
    go behind servers, but not at night.
    Lazy: what the caller charges to `used` between two of them counts for the next.
    """
    line = list(line)
    on = bool(line) and rooms.has(line[0].request.profile, on=True)
    own = [x for x in line if rooms.in_own_hours(x)] if on else []
    served: set[str] = set()
    for lease in chain(*(_fair([x for x in own if x.request.kind is k], used) for k in Kind)):
        # asked again: the reserved slices may have gone to others of the group meanwhile
        if rooms.in_own_hours(lease):
            served.add(lease.id)
            yield lease
    if served:
        line = [x for x in line if x.request.id not in served]
    server = Kind.SERVER
    servers = [x for x in line if x.request.kind is server]
    runs = [x for x in line if x.request.kind is not server] if len(servers) < len(line) else []
    oldest, late, servers = _by_patience(servers, rules.patience, now)
    oldest_runs, late_runs, runs = _by_patience(runs, rules.run_patience, now)
    # the longest beyond its own patience first: a run has more of it
    for _, _, lease in sorted([*oldest, *oldest_runs]):
        yield lease
    # by share: by age alone, who asks a hundred times would be served a hundred times
    yield from _fair([*late, *late_runs], used)
    if runs and at_night(rules, now):
        yield from _fair([*servers, *runs], used)
        return
    yield from _fair(servers, used)
    yield from _fair(runs, used)


def _by_patience(
    line: list[Lease], patience: timedelta, now: datetime
) -> tuple[list[tuple[timedelta, str, Lease]], list[Lease], list[Lease]]:
    """Who has waited for twice the patience, with how little beyond it; beyond it; and the rest."""
    since = now - patience
    rest = [x for x in line if x.request.asked_at > since]
    if len(rest) == len(line):
        return [], [], rest
    late = [x for x in line if x.request.asked_at <= since]
    oldest = [
        (x.request.asked_at - since, x.id, x) for x in late
        if since - x.request.asked_at >= patience
    ]
    return oldest, [x for x in late if since - x.request.asked_at < patience], rest


def _fair(line: list[Lease], used: Standing) -> Iterator[Lease]:
    """By the groups' use for their weight, then the people's use in them, then age.

    Use counts as it was at the beginning, and anew for who has just been served.
    """
    members: dict[str, list[Lease]] = defaultdict(list)
    for lease in line:
        members[lease.request.group].append(lease)
    before, people = _Before(used), dict[str, _People]()

    def look_into(group: str) -> _Age:
        people[group] = _People(group, members[group], before)
        return people[group].oldest()

    groups = _Ranks({x: used.of_group(x) for x in members}, look_into)
    while (group := groups.first()) is not None:
        yield people[group].pop()
        left = people[group].served(used)
        groups.moved(used.of_group(group), people[group].oldest() if left else None)


_Age = tuple[datetime, str]  # since when, and the id, which breaks ties


class _Ranks:
    """Names by use, and by age where they have used as much.

    How old somebody's request is, is looked at only when its turn comes near (`look`): most turns
    end long before the last.
    """

    def __init__(self, uses: Mapping[str, float], look: Callable[[str], _Age]) -> None:
        self._later = sorted(((round(x * _GRAIN), name) for name, x in uses.items()), reverse=True)
        self._look = look
        self._next: list[tuple[int, datetime, str, str]] = []

    def first(self) -> str | None:
        """Whose turn it is; None where nobody is left."""
        top, later = self._next, self._later
        while later and (not top or later[-1][0] <= top[0][0]):
            use, name = later.pop()
            heapq.heappush(top, (use, *self._look(name), name))
        return top[0][3] if top else None

    def age(self) -> _Age:
        """The oldest request of the first; there is one."""
        self.first()
        return self._next[0][1:3]

    def moved(self, use: float, age: _Age | None) -> None:
        """The first has been served: its use now, and its next request's age (None: no more)."""
        if age is None:
            heapq.heappop(self._next)
        else:
            heapq.heapreplace(self._next, (round(use * _GRAIN), *age, self._next[0][3]))


class _People:
    """Those of one group who wait."""

    def __init__(self, group: str, line: list[Lease], before: "_Before") -> None:
        self._group = group
        self._leases: dict[str, list[Lease]] = {}
        for lease in line:
            self._leases.setdefault(lease.request.user, []).append(lease)
        uses = {user: before.hours((group, user)) for user in self._leases}
        self._ranks = _Ranks(uses, self._sorted)

    def _sorted(self, user: str) -> _Age:
        mine = self._leases[user]
        if len(mine) > 1:
            mine.sort(key=_age, reverse=True)
        return _age(mine[-1])

    def oldest(self) -> _Age:
        """The age of whose turn it is; there is somebody."""
        return self._ranks.age()

    def pop(self) -> Lease:
        """Whose turn it is, oldest request first; call `served` afterwards."""
        user = self._ranks.first()
        assert user is not None
        return self._leases[user].pop()

    def served(self, used: Standing) -> bool:
        """The one whose turn it was has what it was charged; whether anybody is left."""
        user = self._ranks.first()
        assert user is not None
        left = self._leases[user]
        hours = used.users.get((self._group, user), 0.0)
        self._ranks.moved(hours, _age(left[-1]) if left else None)
        return self._ranks.first() is not None


def _age(lease: Lease) -> _Age:
    return (lease.request.asked_at, lease.request.id)


class _Before:
    """What people had used at one time, whatever they were charged since."""

    def __init__(self, used: Standing) -> None:
        self._used, self._seen = used, len(used.changes)
        self._were: dict[tuple[str, str], float] = {}

    def hours(self, who: tuple[str, str]) -> float:
        """What somebody had used."""
        changes = self._used.changes
        while self._seen < len(changes):
            charged, hours = changes[self._seen]
            self._were.setdefault(charged, hours)
            self._seen += 1
        found = self._were.get(who)
        return self._used.users.get(who, 0.0) if found is None else found
