"""The order of those who wait for one size, and what "idle" and "overdue" mean."""

import heapq
from collections.abc import Iterable, Iterator
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
    """Those who wait for one size, in the order in which they are served.

    Who has waited beyond patience goes before the others; beyond twice that, age alone counts. Runs
    go behind servers, but not at night.
    Lazy: what the caller charges to `used` between two of them counts for the next. `line` is
    oldest first.
    """
    line = list(line)
    since = now - rules.patience, now - rules.run_patience
    served: set[str] = set()
    on = bool(line) and rooms.has(line[0].request.profile, on=True)
    own = [x for x in line if rooms.in_own_hours(x)] if on else []
    for lease in chain(*(_fair([x for x in own if x.request.kind is k], used) for k in Kind)):
        # asked again: the reserved slices may have gone to others of the group meanwhile
        if rooms.in_own_hours(lease):
            served.add(lease.id)
            yield lease
    oldest: list[Lease] = []
    late: list[Lease] = []
    servers: list[Lease] = []
    runs: list[Lease] = []
    for lease in line:
        request = lease.request
        if served and request.id in served:
            continue
        server = request.kind is Kind.SERVER
        if request.asked_at <= since[not server]:
            beyond = since[not server] - request.asked_at
            (oldest if beyond >= now - since[not server] else late).append(lease)
        else:
            (servers if server else runs).append(lease)
    # the longest beyond its own patience first: a run has more of it
    oldest.sort(key=lambda x: (x.request.asked_at - since[x.request.kind is not Kind.SERVER], x.id))
    yield from oldest
    # by share: by age alone, who asks a hundred times would be served a hundred times
    yield from _fair(late, used)
    if runs and at_night(rules, now):
        by_age = sorted([*servers, *runs], key=lambda x: (x.request.asked_at, x.id))
        yield from _fair(by_age, used)
        return
    yield from _fair(servers, used)
    yield from _fair(runs, used)


def _fair(line: list[Lease], used: Standing) -> Iterator[Lease]:
    """By the groups' use for their weight, then the people's use in them, then age."""
    people: dict[str, dict[str, list[Lease]]] = {}
    for lease in reversed(line):  # so that the oldest is popped first
        group, user = lease.request.group, lease.request.user
        people.setdefault(group, {}).setdefault(user, []).append(lease)
    inner = {g: [_person(used, g, u, x[-1]) for u, x in who.items()] for g, who in people.items()}
    for heap in inner.values():
        heapq.heapify(heap)
    outer = [_group(used, g, heap) for g, heap in inner.items()]
    heapq.heapify(outer)
    while outer:
        *_, group = heapq.heappop(outer)
        *_, user = heapq.heappop(inner[group])
        yield people[group][user].pop()
        if people[group][user]:
            last = people[group][user][-1]
            heapq.heappush(inner[group], _person(used, group, user, last))
        if inner[group]:
            heapq.heappush(outer, _group(used, group, inner[group]))


Key = tuple[int, datetime, str, str]


def _person(used: Standing, group: str, user: str, oldest: Lease) -> Key:
    hours = used.users.get((group, user), 0.0)
    return (round(hours * _GRAIN), oldest.request.asked_at, oldest.id, user)


def _group(used: Standing, group: str, heap: list[Key]) -> Key:
    _, asked_at, id, _ = heap[0]
    return (round(used.of_group(group) * _GRAIN), asked_at, id, group)
