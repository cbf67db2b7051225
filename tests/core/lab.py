"""A small lab for tests of the policy: time passes by ticks, containers come up at once.

Every step goes through `lease.step` and `policy.turn`, as the broker calls them, and the
conservation law is checked after each.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hub.core import policy
from hub.core.lease import (
    Asked,
    Effect,
    Ended,
    Event,
    Kind,
    Lease,
    Observed,
    Reported,
    Request,
    Stage,
    Started,
    State,
    StopHolder,
    check,
    step,
)
from hub.core.mig import Slice, SliceKey
from hub.core.rules import Group, House, Reservation, Rules, Span

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
SIZES = {"1g.5gb": (1, 1, 4864), "2g.10gb": (2, 2, 9856), "3g.20gb": (3, 4, 19968)}
MINUTE = timedelta(minutes=1)


def card(*profiles: str, gpu: str = "GPU-1") -> tuple[Slice, ...]:
    return tuple(
        Slice(SliceKey("node", gpu, p, i), f"MIG-{gpu}-{i}", "A100", 0, *SIZES[p])
        for i, p in enumerate(profiles)
    )


class Lab:
    """Slices, people and a clock. Names of leases are their ids."""

    def __init__(
        self, *profiles: str, rules: Rules | None = None, groups: tuple[Group, ...] = ()
    ) -> None:
        self.slices = card(*profiles)
        self.now = MONDAY
        house = House(rules=rules or Rules(), groups={x.name: x for x in groups})
        self.state = State(house=house)
        self.effects: list[Effect] = []
        self.busy: set[str] = set()  # leases whose servers say that they are at work
        self.told: set[str] = set()  # leases whose servers say anything
        self.tell(Observed(self.now, self.slices, {}))

    def tell(self, event: Event) -> None:
        self.state, effects = step(self.state, event, self.now)
        self.effects += effects
        check(self.state)

    def ask(
        self, id: str, profile: str = "1g.5gb", *, user: str = "", group: str = "",
        kind: Kind = Kind.SERVER, member_of: tuple[str, ...] | None = None,
        needs: timedelta | None = None,
    ) -> None:
        groups = ((group,) if group else ()) if member_of is None else member_of
        self.tell(Asked(Request(
            id, user or id, kind, id if kind is Kind.RUN or user else "", profile, "image",
            self.now, group, member_of=groups, needs=needs,
        )))
        self.turn()

    def reserve(
        self, group: str, begin: float, end: float, count: int = 1, profile: str = "1g.5gb"
    ) -> None:
        """From and to, in minutes from Monday, nine o'clock."""
        when = Span(*((MONDAY + x * MINUTE).replace(tzinfo=None) for x in (begin, end)))
        made = Reservation(f"r-{group}-{begin}", group, profile, count, when, "UTC")
        house = self.state.house
        self.state = replace(self.state, house=replace(
            house, reservations={**house.reservations, made.id: made}
        ))

    def turn(self) -> None:
        self.state, effects = policy.turn(self.state, self.now)
        self.effects += effects
        check(self.state)
        for lease in list(self.state.leases.values()):
            if lease.stage is Stage.GRANTED:
                self.tell(Started(lease.id))

    def minutes(self, count: float, every: float = 1.0) -> None:
        """Let time pass; who is told to stop stops, and what is over comes clean."""
        end = self.now + count * MINUTE
        while self.now < end:
            self.now = min(end, self.now + every * MINUTE)
            for id in self.told | self.busy:
                lease = self.state.leases.get(id)
                if lease and lease.live:
                    at = self.now if id in self.busy else MONDAY
                    self.tell(Reported(id, at, self.now))
            up = {x.id: True for x in self.state.leases.values() if x.live}
            self.tell(Observed(self.now, self.slices, up))
            self.forget()
            self.turn()

    def forget(self) -> None:
        """The store does not load again what has ended."""
        over = (Stage.RELEASED, Stage.WITHDRAWN)
        self.ended = getattr(self, "ended", {}) | {
            k: x for k, x in self.state.leases.items() if x.stage in over
        }
        live = {k: x for k, x in self.state.leases.items() if x.stage not in over}
        self.state = replace(self.state, leases=live)

    def leave(self, id: str) -> None:
        self.tell(Ended(id, "stopped"))

    def lease(self, id: str) -> Lease:
        return self.state.leases.get(id) or self.ended[id]

    def stage(self, id: str) -> Stage:
        return self.lease(id).stage

    def holding(self) -> set[str]:
        return {x.id for x in self.state.leases.values() if x.live}

    def minute(self, moment: datetime | None) -> float:
        """Minutes from Monday, nine o'clock."""
        assert moment is not None
        return (moment - MONDAY) / MINUTE

    def stopped(self) -> list[str]:
        return [x.id for x in self.effects if isinstance(x, StopHolder)]
