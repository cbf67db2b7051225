"""What `lease.step` speaks of: requests, leases, the state. Data only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from hub.core.mig import Slice, SliceKey
from hub.core.rules import House, Usage


class Kind(StrEnum):
    """What waits: a student's server, or a run of a notebook."""

    SERVER = "server"
    RUN = "run"


class Stage(StrEnum):
    """Where a request stands. The last three never move again (QUARANTINED may be released)."""

    WAITING = "waiting"
    GRANTED = "granted"
    RUNNING = "running"
    DRAINING = "draining"
    QUARANTINED = "quarantined"
    RELEASED = "released"
    WITHDRAWN = "withdrawn"


class Why(StrEnum):
    """Why a slice is asked back, or a lease was ended by a rule or a person."""

    WAITING = "waiting"  # somebody waits, and the promised time is over
    IDLE = "idle"  # somebody waits, and nothing happens on it
    RESERVED = "reserved"  # its reserved hours begin
    LIMIT = "limit"  # the longest hold
    PREEMPTED = "preempted"  # a run gives way to somebody who sits in front of a screen
    HAND = "hand"  # by a person


HOLDING = frozenset({Stage.GRANTED, Stage.RUNNING, Stage.DRAINING, Stage.QUARANTINED})
OPEN = frozenset({Stage.WAITING, Stage.GRANTED, Stage.RUNNING})


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody waits for a slice.

    `name` is the server's name ("" for the default one) or the run's id; with `user` and `kind`
    it is unique among open requests. `options` is what the asker chose, kept as JSON values, so
    that a restarted hub can ask again for them. `group` is the one in whose name it is asked and
    whose share it uses; `member_of` are all groups of the person at that time. `needs`: how long a
    run took before; None where nobody knows.
    """

    id: str
    user: str
    kind: Kind
    name: str
    profile: str
    image: str
    asked_at: datetime
    group: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    member_of: tuple[str, ...] = ()
    needs: timedelta | None = None

    @property
    def owner(self) -> tuple[str, Kind, str]:
        """Who may have only one of these open at a time."""
        return (self.user, self.kind, self.name)


@dataclass(frozen=True, slots=True)
class Notice:
    """Somebody is to give a slice back: why (a `Why`), told when, and gone by when."""

    why: Why
    at: datetime
    leave_by: datetime


@dataclass(frozen=True, slots=True)
class Lease:
    """A request with its stage, and from GRANTED on with its slice and its times (aware, UTC).

    `promised`: until then nobody asks for it back (but from a run, and from somebody who is idle).
    `until`: the latest end, known from the grant on. `rate`: slice-hours per hour. `reservation`:
    the one it was given from. `active_at`: when it was last at work, as far as `heard_at` somebody
    could say. `why`: the rule or the hand that ended it from outside; None where it ended by
    itself. `eta`: what its asker was told at first, (earliest, latest). `charged`: the group whose
    share it uses, from the grant on; ask `share.charged_to`.
    """

    request: Request
    stage: Stage = Stage.WAITING
    slice: SliceKey | None = None
    granted_at: datetime | None = None
    started_at: datetime | None = None
    draining_at: datetime | None = None
    ended_at: datetime | None = None
    until: datetime | None = None
    cause: str = ""
    promised: datetime | None = None
    rate: float = 0.0
    reservation: str = ""
    active_at: datetime | None = None
    heard_at: datetime | None = None
    notice: Notice | None = None
    why: Why | None = None
    eta: tuple[datetime, datetime] | None = None
    charged: str = ""

    @property
    def id(self) -> str:
        """The request's id, which is also the container's label."""
        return self.request.id

    @property
    def again(self) -> bool:
        """Whether it is a run's later attempt: between asking and its grant the run has run."""
        return self.request.kind is Kind.RUN and self.id != self.request.name

    @property
    def holds(self) -> bool:
        """Whether its slice may be given to nobody else."""
        return self.stage in HOLDING

    @property
    def live(self) -> bool:
        """Whether somebody may be working on its slice."""
        return self.stage in (Stage.GRANTED, Stage.RUNNING)


@dataclass(frozen=True)
class Limits:
    """Times after which silence is taken for an answer."""

    start: timedelta = timedelta(minutes=5)
    settle: timedelta = timedelta(seconds=10)
    dirty: timedelta = timedelta(minutes=10)
    stop: timedelta = timedelta(minutes=1)


class Draft(dict[str, "Lease"]):
    """The leases of a state that only one turn sees: changed in place.

    A copy for each of some hundred events would cost more than the decisions.
    """

    _holders: dict[SliceKey, Lease] | None = None

    @property
    def holders(self) -> dict[SliceKey, Lease]:
        """Slice → the lease that holds it."""
        if self._holders is None:
            self._holders = _holders(self.values())
        return self._holders

    def put(self, leases: Iterable[Lease]) -> None:
        """Change these."""
        for lease in leases:
            before = self.get(lease.id)
            self[lease.id] = lease
            if self._holders is None:
                continue
            if before is not None and before.slice is not None:
                self._holders.pop(before.slice, None)
            if lease.slice is not None and lease.holds:
                self._holders[lease.slice] = lease


class Books(dict[tuple[str, str], Usage]):
    """What was used, in a state that only one turn sees: changed in place, as a `Draft` is."""

    changed = False

    def put(self, who: tuple[str, str], used: Usage) -> None:
        """Somebody has used so much."""
        self[who] = used
        self.changed = True


def _holders(leases: Iterable[Lease]) -> dict[SliceKey, Lease]:
    running = Stage.RUNNING  # most of them; to look into a set of stages takes much longer
    return {
        x.slice: x for x in leases if x.slice is not None and (x.stage is running or x.holds)
    }


@dataclass(frozen=True)
class State:
    """All open and live leases, and the slices as last seen. Made only by `step`."""

    slices: Mapping[SliceKey, Slice] = field(default_factory=dict)
    leases: Mapping[str, Lease] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    house: House = field(default_factory=House)

    def draft(self) -> "State":
        """A copy whose leases and books are changed in place; `settled` makes a state of it."""
        house = replace(self.house, usage=Books(self.house.usage))
        return replace(self, leases=Draft(self.leases), house=house)

    def settled(self, given: "State") -> "State":
        """The state that a draft of `given` has become."""
        books = self.house.usage
        same = isinstance(books, Books) and not books.changed
        house = given.house if same else replace(self.house, usage=dict(books))
        return replace(self, leases=dict(self.leases), house=house)

    def having(self, *leases: Lease) -> "State":
        """This state with these leases new or changed."""
        if isinstance(self.leases, Draft):
            self.leases.put(leases)
            return self
        return replace(self, leases={**self.leases, **{x.id: x for x in leases}})

    def held(self) -> Mapping[SliceKey, Lease]:
        """Slice → the lease that holds it."""
        if isinstance(self.leases, Draft):
            return self.leases.holders
        return _holders(self.leases.values())

    def free(self) -> list[Slice]:
        """Slices that may be given away now, in the order of their keys.

        A process on a slice that nobody holds keeps it back, and so does not knowing.
        """
        held = self.held()
        return [
            s for k, s in sorted(self.slices.items())
            if k not in held and s.usable
        ]

    def waiting(self) -> list[Lease]:
        """The line, oldest first; the id breaks ties so that every process sees one order."""
        line = [x for x in self.leases.values() if x.stage is Stage.WAITING]
        return sorted(line, key=lambda x: (x.request.asked_at, x.id))

    def open_for(self, user: str, kind: Kind, name: str) -> Lease | None:
        """The open request or lease of this owner, if there is one."""
        owner = (user, kind, name)
        return next((
            x for x in self.leases.values()
            # most are somebody else's, so that is asked first
            if x.request.user == user and x.request.owner == owner and x.stage in OPEN
        ), None)
