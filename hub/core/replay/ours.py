"""This house's own policy in a replay: the events and the turns are the broker's.

What a tick does every two seconds is done here only at moments at which it could decide something:
ends that are known, promises that run out while somebody waits, somebody's idleness, the edges of
reservations, the week's beginning. Nothing else in `policy.turn` depends on the clock alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hub.core import forecast, policy
from hub.core.events import (
    Asked,
    Ended,
    Event,
    Foretold,
    Moved,
    Observed,
    Reported,
    Started,
    Withdrawn,
)
from hub.core.lease import step
from hub.core.mig import Slice
from hub.core.nouns import Kind, Lease, Request, Stage, State
from hub.core.past import SPAN, Past, Seen, seen
from hub.core.replay.play import CLEAN, Ask, Given, Told, Turned
from hub.core.rules import House
from hub.core.share import week
from hub.core.timetable import windows

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday; history has its own
_SECOND = timedelta(seconds=1)
_FRESH = timedelta(minutes=30)
_HEARD = timedelta(minutes=1)  # how often a server says when it was last at work
_OVER = (Stage.RELEASED, Stage.WITHDRAWN)


class Ours:
    """See `play.Policy`. `begin`: the moment that is second 0. `tell`: work out what askers are
    told (it costs more than all the rest).
    """  # noqa: D205 - one sentence each

    def __init__(
        self, slices: Sequence[Slice], house: House, *, begin: datetime = BEGIN, tell: bool = True,
        check: Callable[[State], None] = lambda _: None,
    ) -> None:
        self.state = State(house=house)
        self._slices = tuple(slices)
        self._begin = begin
        self._tell = tell
        self._check = check
        self._turned = Turned()
        self._gone: dict[str, datetime] = {}  # ended, and its container stops then
        self._seen: list[Seen] = []
        self._past, self._past_at = Past(), begin
        self._resting: dict[str, datetime] = {}
        self._step(Observed(begin, self._slices, {}), begin)

    # ---- what happens ---------------------------------------------------------------------------

    def ask(self, ask: Ask, at: float) -> Told | None:
        """As `broker.ask` does it: ask, a turn, and what the asker is told while it waits."""
        now, job = self._at(at), ask.job
        request = Request(
            ask.id, job.user, job.kind, ask.id, job.profile, "", self._at(ask.since), job.group,
            member_of=(job.group,),
        )
        self._report(now)
        self._step(Asked(request), now)
        self._turn(now)
        if not self._tell or self.state.leases[ask.id].stage is not Stage.WAITING:
            return None
        place = forecast.place(self.state, ask.id, now, self._learned(now))
        if place is None or place.earliest is None or place.latest is None:
            return None
        self._step(Foretold(ask.id, place.earliest, place.latest), now)
        return Told(self._seconds(place.earliest), self._seconds(place.latest))

    def leave(self, ask: Ask, at: float) -> None:
        """See `Policy`."""
        self._step(Withdrawn(ask.id), self._at(at))

    def rests(self, ask: Ask, at: float) -> None:
        """See `Policy`: its server reports when it was last at work."""
        now = self._at(at)
        self._resting[ask.id] = now
        self._step(Reported(ask.id, now, now), now)

    def close(self, ask: Ask, at: float) -> None:
        """See `Policy`."""
        self._step(Ended(ask.id, "stopped"), self._at(at))

    def turn(self, at: float) -> Turned:
        """As `broker.tick` does it: a look at the machine, and a turn."""
        now = self._at(at)
        self._report(now)
        self._look(now)
        self._turn(now)
        turned, self._turned = self._turned, Turned()
        return turned

    # ---- how it is done -------------------------------------------------------------------------

    def _look(self, now: datetime) -> None:
        self._gone = {k: x for k, x in self._gone.items() if x > now}
        there = {
            x.id: True for x in self.state.leases.values()
            if x.stage is Stage.RUNNING or x.id in self._gone
        }
        self._step(Observed(now, self._slices, there), now)

    def _report(self, now: datetime) -> None:
        """Servers at rest say when they were last at work: silence would not be idleness.

        A server that works says so too, which changes nothing for the policy.
        """
        for id, since in self._resting.items():
            lease = self.state.leases[id]
            if lease.heard_at is None or now - lease.heard_at >= _HEARD:
                self._step(Reported(id, since, now), now)

    def _turn(self, now: datetime) -> None:
        before = self.state
        self._moved(policy.turn(before, now), now)
        for id, lease in self.state.leases.items():
            if lease.stage is Stage.GRANTED and before.leases[id].stage is Stage.WAITING:
                self._turned.given.append(Given(id, lease.rate))
                self._step(Started(id), now)
            elif lease.why is not None and before.leases[id].why is None:
                self._turned.cut.append(id)

    def _step(self, event: Event, now: datetime) -> None:
        self._moved(step(self.state, event, now), now)

    def _moved(self, moved: Moved, now: datetime) -> None:
        before, (self.state, _) = self.state, moved  # effects: a container that stops, below
        if self.state.leases is not before.leases:
            over = [x for x in self.state.leases.values() if x.stage in _OVER]
            for lease in self.state.leases.values():
                if lease.stage is Stage.DRAINING and lease.id not in self._gone and (
                    before.leases[lease.id].stage is not Stage.DRAINING
                ):
                    self._drains(lease, now)
            if over:
                # the store does not load again what has ended
                left = {k: x for k, x in self.state.leases.items() if x.stage not in _OVER}
                self.state = replace(self.state, leases=left)
        self._check(self.state)

    def _drains(self, lease: Lease, now: datetime) -> None:
        self._resting.pop(lease.id, None)
        self._gone[lease.id] = now + timedelta(seconds=CLEAN)
        one = seen(lease, now)
        if one is not None:
            self._seen.append(one)

    def _learned(self, now: datetime) -> Past:
        """What was seen so far, read anew every so often, as the hub does."""
        if now - self._past_at > _FRESH:
            oldest = (now - SPAN).timestamp()
            self._seen = [x for x in self._seen if x.granted >= oldest]
            live = (seen(x, now) for x in self.state.leases.values() if x.live)
            self._past = Past.of([*self._seen, *(x for x in live if x is not None)])
            self._past_at = now
        return self._past

    # ---- when the next thing is due -------------------------------------------------------------

    def due(self, at: float) -> float | None:
        """See `Policy`."""
        now = self._at(at)
        waits = {x.request.profile for x in self.state.waiting()}
        found = min((x for x in self._moments(now, waits) if x > now), default=None)
        # what is due within a second is due then: clocks of people are no finer
        return None if found is None else max(self._seconds(found), at + 1)

    def _moments(self, now: datetime, waits: set[str]) -> Iterator[datetime]:
        rules = self.state.house.rules
        yield from self._gone.values()
        for lease in self.state.leases.values():
            if lease.stage is Stage.WAITING:
                server = lease.request.kind is Kind.SERVER
                yield lease.request.asked_at + (rules.patience if server else rules.run_patience)
            elif lease.live:
                yield from self._of_holder(lease, waits)
        if waits and any(x.quota or x.user_quota for x in self.state.house.groups.values()):
            yield week(now, rules)[1]
        for reservation in self.state.house.reservations.values():
            for window in windows(reservation, now, now + rules.max_hold + rules.margin):
                yield window.begins - rules.margin
                yield window.begins
                yield window.begins + rules.grace
                yield window.ends

    def _of_holder(self, lease: Lease, waits: set[str]) -> Iterator[datetime]:
        rules = self.state.house.rules
        if lease.notice is not None:
            yield lease.notice.leave_by
        if lease.until is not None:
            yield lease.until
            yield lease.until - rules.notice
        if lease.request.profile not in waits:
            return
        if lease.promised is not None:
            yield lease.promised
        if lease.id in self._resting:
            yield self._resting[lease.id] + rules.idle

    def _at(self, seconds: float) -> datetime:
        return self._begin + seconds * _SECOND

    def _seconds(self, moment: datetime) -> float:
        return (moment - self._begin) / _SECOND
