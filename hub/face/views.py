"""What the service answers: shapes of the JSON, and who may see what of the state.

A student sees every slice and the whole line, but no name and no lease id of anybody else.
`Offer` and `Run` are core's own dataclasses: they are answered field by field.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, Field

from hub.core.lease import Lease, Stage, State
from hub.core.mig import Slice, SliceKey
from hub.core.policy import Offer, offers
from hub.core.runs import Run
from hub.metrics import Facts


@dataclass(frozen=True)
class Caller:
    """Who asks. `kind` is the hub's: user or service; only a user owns leases and runs."""

    name: str
    kind: str = "user"
    is_operator: bool = False
    is_instructor: bool = False
    groups: tuple[str, ...] = ()
    scopes: frozenset[str] = frozenset()

    def owns(self, user: str) -> bool:
        """Whether what belongs to `user` is the caller's. A service may be named like a person."""
        return self.kind == "user" and self.name == user

    def sees(self, user: str) -> bool:
        """Whether the caller may know this name and what belongs to it."""
        return self.is_operator or self.owns(user)


class ErrorText(BaseModel):
    """Why it was declined: for the person, and as a short label."""

    message: str
    reason: str


class ErrorOut(BaseModel):
    """Every answer that is not 2xx."""

    error: ErrorText


class MeOut(BaseModel):
    """Who the token or the cookie belongs to."""

    name: str
    kind: str
    is_operator: bool
    is_instructor: bool
    groups: tuple[str, ...]


class SliceOut(BaseModel):
    """A slice as last seen; `start` and `memory` in memory slots of the card (of 8)."""

    node: str
    gpu: str
    gpu_index: int
    gpu_name: str
    profile: str
    start: int
    compute: int = Field(description="Compute slices of the card's 7.")
    memory: int
    memory_mib: int
    used_mib: int | None = Field(description="Memory in use, MiB; null where NVML does not say.")
    uuid: str | None = Field(description="The MIG UUID just now; operators only.")
    state: str = Field(description="free, held, draining, quarantined, missing or busy.")
    user: str | None = Field(description="Who holds it: own name, or any for operators.")
    lease: str | None


class LeaseOut(BaseModel):
    """A request, and from its grant on a lease."""

    id: str
    user: str
    kind: str
    name: str
    profile: str
    image: str
    stage: str
    slice: str | None
    asked_at: datetime
    granted_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    cause: str


class LineOut(BaseModel):
    """One who waits; `position` counts from 1 among those who wait for the same profile."""

    position: int
    id: str | None = Field(description="The lease's id: own, or any for operators.")
    user: str | None
    profile: str
    kind: str
    asked_at: datetime


class LiveOut(BaseModel):
    """All that the page shows."""

    offers: tuple[Offer, ...]
    slices: list[SliceOut]
    line: list[LineOut]
    leases: list[LeaseOut]
    runs: list[Run]


class HealthOut(BaseModel):
    """Whether the service does its work; seconds since the last whole tick."""

    status: str
    last_tick_s: float | None
    database: str


class RosterOut(BaseModel):
    """How many people the roster now has."""

    members: int


def slice_state(found: Slice, holder: Lease | None) -> str:
    """One word for a slice; a holder counts before what was seen."""
    if holder is not None:
        words = {Stage.DRAINING: "draining", Stage.QUARANTINED: "quarantined"}
        return words.get(holder.stage, "held")
    if not found.present:
        return "missing"
    return "free" if found.usable else "busy"


def slices_of(state: State, caller: Caller) -> list[SliceOut]:
    """All slices in the order in which they lie on their cards."""
    held = state.held()
    return [
        _slice(s, held.get(k), caller)
        for k, s in sorted(state.slices.items(), key=_on_card)
    ]


def _on_card(item: tuple[SliceKey, Slice]) -> tuple[str, int, str, int, str]:
    key, found = item
    return (key.node, found.gpu_index, key.gpu, key.start, key.profile)


def _slice(found: Slice, holder: Lease | None, caller: Caller) -> SliceOut:
    known = holder is not None and caller.sees(holder.request.user)
    key = found.key
    return SliceOut(
        node=key.node, gpu=key.gpu, profile=key.profile, start=key.start,
        gpu_index=found.gpu_index, gpu_name=found.gpu_name, compute=found.compute,
        memory=found.memory, memory_mib=found.memory_mib, used_mib=found.used_mib,
        uuid=found.uuid if caller.is_operator else None, state=slice_state(found, holder),
        user=holder.request.user if holder and known else None,
        lease=holder.id if holder and known else None,
    )


def lease_of(lease: Lease) -> LeaseOut:
    """The JSON of one lease; whoever calls has checked who asks."""
    r = lease.request
    return LeaseOut(
        id=lease.id, user=r.user, kind=r.kind, name=r.name, profile=r.profile, image=r.image,
        stage=lease.stage, slice=str(lease.slice) if lease.slice else None, asked_at=r.asked_at,
        granted_at=lease.granted_at, started_at=lease.started_at, ended_at=lease.ended_at,
        cause=lease.cause,
    )


def leases_of(leases: Iterable[Lease], caller: Caller) -> list[LeaseOut]:
    """Those that the caller may see, in the order given."""
    return [lease_of(x) for x in leases if caller.sees(x.request.user)]


def line_of(state: State, caller: Caller) -> list[LineOut]:
    """The whole line, oldest first."""
    ahead: Counter[str] = Counter()
    shown = []
    for lease in state.waiting():
        # counted on the way: `place` looks through the whole line for each
        ahead[lease.request.profile] += 1
        shown.append(_waiting(lease, ahead[lease.request.profile], caller))
    return shown


def _waiting(lease: Lease, position: int, caller: Caller) -> LineOut:
    r = lease.request
    known = caller.sees(r.user)
    return LineOut(
        position=position, id=lease.id if known else None, user=r.user if known else None,
        profile=r.profile, kind=r.kind, asked_at=r.asked_at,
    )


def live_of(state: State, runs: Iterable[Run], caller: Caller) -> LiveOut:
    """The page's state for this caller; a run may be named twice, the newest is shown first."""
    each = {r.id: r for r in runs if caller.sees(r.user)}
    return LiveOut(
        offers=offers(state), slices=slices_of(state, caller), line=line_of(state, caller),
        leases=leases_of(state.leases.values(), caller),
        runs=sorted(each.values(), key=lambda r: (r.asked_at, r.id), reverse=True),
    )


def facts_of(state: State, runs: Iterable[Run]) -> Facts:
    """The counts behind the gauges; `runs` are the open ones."""
    held = state.held()
    return Facts(
        slices=Counter((slice_state(s, held.get(k)), k.profile) for k, s in state.slices.items()),
        line=Counter(x.request.profile for x in state.waiting()),
        leases=Counter(str(x.stage) for x in state.leases.values()),
        runs=Counter(str(r.stage) for r in runs if not r.done),
    )
