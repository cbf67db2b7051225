"""What `lease.step` speaks of: requests, leases, the state, events in, effects out. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from hub.core.mig import Slice, SliceKey


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


HOLDING = frozenset({Stage.GRANTED, Stage.RUNNING, Stage.DRAINING, Stage.QUARANTINED})
OPEN = frozenset({Stage.WAITING, Stage.GRANTED, Stage.RUNNING})


@dataclass(frozen=True)
class Request:
    """Somebody waits for a slice.

    `name` is the server's name ("" for the default one) or the run's id; with `user` and `kind`
    it is unique among open requests. `options` is what the asker chose, kept as JSON values, so
    that a restarted hub can ask again for them.
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

    @property
    def owner(self) -> tuple[str, Kind, str]:
        """Who may have only one of these open at a time."""
        return (self.user, self.kind, self.name)


@dataclass(frozen=True)
class Lease:
    """A request with its stage, and from GRANTED on with its slice and its times (aware, UTC)."""

    request: Request
    stage: Stage = Stage.WAITING
    slice: SliceKey | None = None
    granted_at: datetime | None = None
    started_at: datetime | None = None
    draining_at: datetime | None = None
    ended_at: datetime | None = None
    until: datetime | None = None
    cause: str = ""

    @property
    def id(self) -> str:
        """The request's id, which is also the container's label."""
        return self.request.id

    @property
    def holds(self) -> bool:
        """Whether its slice may be given to nobody else."""
        return self.stage in HOLDING


@dataclass(frozen=True)
class Limits:
    """Times after which silence is taken for an answer."""

    start: timedelta = timedelta(minutes=5)
    settle: timedelta = timedelta(seconds=10)
    dirty: timedelta = timedelta(minutes=10)


@dataclass(frozen=True)
class State:
    """All open and live leases, and the slices as last seen. Made only by `step`."""

    slices: Mapping[SliceKey, Slice] = field(default_factory=dict)
    leases: Mapping[str, Lease] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)

    def held(self) -> dict[SliceKey, Lease]:
        """Slice → the lease that holds it."""
        return {x.slice: x for x in self.leases.values() if x.holds and x.slice is not None}

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
        return next(
            (x for x in self.leases.values() if x.stage in OPEN and x.request.owner == owner), None
        )


# ---- events: what happened --------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """Somebody asks. Asking again for the same owner changes nothing."""

    request: Request


@dataclass(frozen=True)
class Withdrawn:
    """The asker gives up; a lease already granted is ended."""

    id: str
    cause: str = "withdrawn"


@dataclass(frozen=True)
class Granted:
    """The policy gives a slice."""

    id: str
    slice: SliceKey
    until: datetime | None = None


@dataclass(frozen=True)
class Started:
    """The container is up."""

    id: str


@dataclass(frozen=True)
class Ended:
    """Somebody says that the lease is over: stopped, failed to start, expired, ended by hand."""

    id: str
    cause: str


@dataclass(frozen=True)
class Observed:
    """One look at the machine.

    `slices`: every slice seen (None: NVML gave no answer). `containers`: lease id → whether it
    runs, for each container of ours (None: Docker gave no answer). `pins`: lease id → the slice's
    text on the container's label. `at`: the moment *before* the
    look began; what was granted or started after it is not judged by it.
    """

    at: datetime
    slices: tuple[Slice, ...] | None
    containers: Mapping[str, bool] | None
    pins: Mapping[str, str] = field(default_factory=dict)


Event = Asked | Withdrawn | Granted | Started | Ended | Observed


# ---- effects: what is to be done --------------------------------------------------------------


@dataclass(frozen=True)
class RemoveContainer:
    """Remove the container(s) with this lease id; nobody needs them any more."""

    id: str
    why: str


@dataclass(frozen=True)
class TellOperator:
    """Something that no program can mend."""

    text: str


Effect = RemoveContainer | TellOperator
Moved = tuple[State, tuple[Effect, ...]]
