"""What `lease.step` is told, and what it wants done: events in, effects out. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hub.core.mig import Slice, SliceKey
from hub.core.nouns import Request, State, Why

# ---- events: what happened --------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """Somebody asks. Asking again for the same owner changes nothing."""

    request: Request


@dataclass(frozen=True)
class Withdrawn:
    """The asker gives up; a lease already granted is ended. `why` as in `Ended`."""

    id: str
    cause: str = "withdrawn"
    why: Why | None = None


@dataclass(frozen=True)
class Granted:
    """The policy gives a slice; see `Lease` for the rest."""

    id: str
    slice: SliceKey
    until: datetime | None = None
    promised: datetime | None = None
    reservation: str = ""


@dataclass(frozen=True)
class Reported:
    """The server says at `heard_at` when it was last at work: a busy kernel, a terminal."""

    id: str
    active_at: datetime
    heard_at: datetime


@dataclass(frozen=True)
class Noticed:
    """The holder is told to give back, with a countdown."""

    id: str
    why: Why
    leave_by: datetime


@dataclass(frozen=True)
class Spared:
    """The notice is taken back: nobody waits any more, or the idle one came back."""

    id: str


@dataclass(frozen=True)
class Extended:
    """The holder is promised more time."""

    id: str
    promised: datetime


@dataclass(frozen=True)
class Limited:
    """The holder has to leave earlier than was thought: a reservation was made since."""

    id: str
    until: datetime


@dataclass(frozen=True)
class Lifted:
    """The holder may stay longer than was thought (None: no limit): a reservation is no more."""

    id: str
    until: datetime | None


@dataclass(frozen=True)
class Foretold:
    """The asker was told when the slice will come; the first telling is kept."""

    id: str
    earliest: datetime
    latest: datetime


@dataclass(frozen=True)
class Blocked:
    """An operator takes a slice out of use ("" puts it back). Its holder, if any, keeps it."""

    slice: SliceKey
    why: str


@dataclass(frozen=True)
class Started:
    """The container is up."""

    id: str


@dataclass(frozen=True)
class Ended:
    """Somebody says that the lease is over: stopped, failed to start, expired, ended by hand.

    `why`: the rule or the person that ends it from outside; then what runs in it is told to stop.
    """

    id: str
    cause: str
    why: Why | None = None


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


Event = (
    Asked | Withdrawn | Granted | Started | Ended | Observed | Reported | Noticed | Spared
    | Extended | Limited | Lifted | Foretold | Blocked
)


# ---- effects: what is to be done --------------------------------------------------------------


@dataclass(frozen=True)
class RemoveContainer:
    """Remove the container(s) with this lease id; nobody needs them any more."""

    id: str
    why: str


@dataclass(frozen=True)
class StopHolder:
    """End politely what runs under this lease: it was ended from outside."""

    id: str
    why: Why


@dataclass(frozen=True)
class TellOperator:
    """Something that no program can mend."""

    text: str


Effect = RemoveContainer | StopHolder | TellOperator
Moved = tuple[State, tuple[Effect, ...]]
