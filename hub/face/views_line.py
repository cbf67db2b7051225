"""Slices, leases and the line as the service answers them, and who may see what of them.

A student sees every slice and the whole line, but no name, group or lease id of anybody else; an
instructor also those of the students taught. Until when a slice is held, everybody may know.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from pydantic import BaseModel, Field

from hub.core import claims, share
from hub.core.forecast import Place
from hub.core.lease import Lease, Stage, State
from hub.core.mig import Slice, SliceKey
from hub.core.order import idle_since
from hub.core.room import Rooms
from hub.core.share import Standing
from hub.desk import key_text
from hub.errors import Refusal, Text
from hub.face import reasons, words
from hub.face.caller import Caller

_MINUTE = timedelta(minutes=1)
_AT_WORK = timedelta(minutes=2)  # a server tells of itself about once a minute


@dataclass(frozen=True)
class Scene:
    """One look at the state, from which everybody's views are made. `places` by lease id.

    Two are equal where the state is: what only time has changed is no news.
    """

    state: State
    now: datetime = field(compare=False)
    places: Mapping[str, Place] = field(compare=False, default_factory=dict)

    @cached_property
    def used(self) -> Standing:
        """What everybody has used."""
        return share.standing(self.state, self.now)

    @cached_property
    def rooms(self) -> Rooms:
        """What reservations leave."""
        return Rooms(self.state, self.now)

    @cached_property
    def held(self) -> Mapping[SliceKey, Lease]:
        """Slice → who holds it."""
        return self.state.held()

    @cached_property
    def out(self) -> Mapping[str, int]:
        """By profile, slices that nobody holds and nobody may have."""
        return Counter(
            k.profile for k, s in self.state.slices.items()
            if s.present and not s.usable and k not in self.held
        )

    @cached_property
    def clock(self) -> reasons.Clock:
        """How moments are said here."""
        return reasons.clock(self.state.house.rules.zone, self.now)


class SliceOut(BaseModel):
    """A slice as last seen; `start` and `memory` in memory slots of the card (of 8)."""

    key: str = Field(description="node/gpu/profile/start: its name for ever.")
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
    state: str = Field(description=(
        "free, reserved (free, kept for a reservation now), held, ending (a notice runs), "
        "draining, quarantined, blocked, missing or busy."
    ))
    user: str | None = Field(description="Who holds it: own name, or any that one may know.")
    lease: str | None
    promised: datetime | None = Field(description="Until then nobody asks for it back.")
    until: datetime | None = Field(description="The latest end that is known.")
    blocked: str | None = Field(description="Why it is blocked; operators and instructors only.")


class LeaseOut(BaseModel):
    """A request, and from its grant on a lease."""

    id: str
    user: str
    kind: str
    name: str
    profile: str
    image: str
    group: str
    stage: str
    slice: str | None
    asked_at: datetime
    granted_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    cause: str
    why: str | None = Field(description="The rule, or hand, that ended it from outside.")
    promised: datetime | None = Field(description="Until then nobody asks for it back.")
    until: datetime | None = Field(description="The latest end that is known.")
    leave_by: datetime | None = Field(description="Where a notice runs: gone by then.")
    notice: str | None = Field(description="Why it is to be given back; null without a notice.")
    reservation: str | None
    position: int | None = Field(description="In the line for its size, from 1; while it waits.")
    reason: str | None = Field(description="Why it waits, or why it was ended from outside.")
    eta_earliest: datetime | None
    eta_latest: datetime | None
    idle_since: datetime | None = Field(description="Nothing has happened on it since.")
    can_extend: bool = Field(description="Whether the caller would be promised more time now.")
    no_extend: str | None = Field(description="Why not; null where it is not the caller's.")
    slice_hours: float = Field(description="Used so far; an hour of a 1g is 1, of a card 7.")


class LineOut(BaseModel):
    """One who waits; `position` counts from 1 among those who wait for the same profile."""

    position: int
    id: str | None = Field(description="The lease's id: own, or any that one may know.")
    user: str | None
    group: str | None
    mine: bool
    profile: str
    kind: str
    asked_at: datetime
    reason: str | None = Field(description="Why it waits: own, or any that one may know.")
    eta_earliest: datetime | None
    eta_latest: datetime | None


# ---- slices -------------------------------------------------------------------------------------


def slice_state(found: Slice, holder: Lease | None) -> str:
    """One word for a slice; a holder counts before what was seen."""
    if holder is not None:
        said = {Stage.DRAINING: "draining", Stage.QUARANTINED: "quarantined"}
        return said.get(holder.stage, "ending" if holder.notice else "held")
    if not found.present:
        return "missing"
    if found.blocked:
        return "blocked"
    return "free" if found.usable else "busy"


def slices_of(scene: Scene, caller: Caller) -> list[SliceOut]:
    """All slices in the order in which they lie on their cards."""
    shown = [
        _slice(s, scene.held.get(k), caller)
        for k, s in sorted(scene.state.slices.items(), key=_on_card)
    ]
    _mark_reserved(shown, scene.rooms)
    return shown


def slice_of(scene: Scene, key: SliceKey, caller: Caller) -> SliceOut:
    """One slice.

    Raises:
        KeyError: it is not there.
    """
    return next(x for x in slices_of(scene, caller) if x.key == key_text(key))


def _mark_reserved(shown: list[SliceOut], rooms: Rooms) -> None:
    """So many of the free ones as are kept; which of them it will be is open."""
    for profile in {x.profile for x in shown}:
        free = [x for x in shown if x.profile == profile and x.state == "free"]
        for one in free[max(0, len(free) - rooms.reserved(profile)[1]):]:
            one.state = "reserved"


def _on_card(item: tuple[SliceKey, Slice]) -> tuple[str, int, str, int, str]:
    key, found = item
    return (key.node, found.gpu_index, key.gpu, key.start, key.profile)


def _slice(found: Slice, holder: Lease | None, caller: Caller) -> SliceOut:
    known = holder is not None and caller.knows(holder.request.user)
    key, live = found.key, holder if holder and holder.live else None
    staff = caller.is_operator or caller.is_instructor
    return SliceOut(
        key=key_text(key), node=key.node, gpu=key.gpu, profile=key.profile, start=key.start,
        gpu_index=found.gpu_index, gpu_name=found.gpu_name, compute=found.compute,
        memory=found.memory, memory_mib=found.memory_mib, used_mib=found.used_mib,
        uuid=found.uuid if caller.is_operator else None, state=slice_state(found, holder),
        user=holder.request.user if holder and known else None,
        lease=holder.id if holder and known else None,
        promised=live.promised if live else None, until=_latest(live) if live else None,
        blocked=found.blocked if found.blocked and staff else None,
    )


def _latest(lease: Lease) -> datetime | None:
    leave_by = lease.notice.leave_by if lease.notice else None
    return min((x for x in (lease.until, leave_by) if x), default=None)


# ---- leases -------------------------------------------------------------------------------------


def lease_of(scene: Scene, lease: Lease, caller: Caller, language: str) -> LeaseOut:
    """The JSON of one lease; whoever calls has checked who asks."""
    r, place = lease.request, scene.places.get(lease.id)
    earliest, latest = _range(place)
    can_extend, no_extend = _extension(scene, lease, caller, language)
    return LeaseOut(
        id=lease.id, user=r.user, kind=r.kind, name=r.name, profile=r.profile, image=r.image,
        group=share.charged_to(scene.state.house, lease), stage=lease.stage,
        slice=str(lease.slice) if lease.slice else None, asked_at=r.asked_at,
        granted_at=lease.granted_at, started_at=lease.started_at, ended_at=lease.ended_at,
        cause=lease.cause, why=lease.why, promised=lease.promised, until=lease.until,
        leave_by=lease.notice.leave_by if lease.notice else None,
        notice=lease.notice.why if lease.notice else None, reservation=lease.reservation or None,
        position=place.position if place else None,
        reason=_reason(scene, lease, place, caller, language),
        eta_earliest=earliest, eta_latest=latest, idle_since=_idle(scene, lease),
        can_extend=can_extend, no_extend=no_extend, slice_hours=_hours(scene, lease),
    )


def leases_of(
    scene: Scene, leases: Iterable[Lease], caller: Caller, language: str
) -> list[LeaseOut]:
    """Those that the caller may see, in the order given."""
    return [
        lease_of(scene, x, caller, language) for x in leases if caller.knows(x.request.user)
    ]


def _reason(
    scene: Scene, lease: Lease, place: Place | None, caller: Caller, language: str
) -> str | None:
    own = caller.owns(lease.request.user)
    text: Text | None
    if place is not None:
        out = scene.out.get(place.profile, 0)
        text = reasons.why_it_waits(place, scene.clock, out=out, own=own)
    else:
        text = reasons.why_it_ended(lease, scene.clock, reader=lease.request.user)
    return words.text(language, text) if text else None


def _extension(
    scene: Scene, lease: Lease, caller: Caller, language: str
) -> tuple[bool, str | None]:
    """Whether the holder would be promised more, and why not. Looked for only where it is asked."""
    if not lease.live or not caller.owns(lease.request.user):
        return False, None
    try:
        claims.extension(scene.state, lease.id, scene.now, scene.used)
    except Refusal as e:
        return False, words.refusal(language, e)
    return True, None


def _range(place: Place | None) -> tuple[datetime | None, datetime | None]:
    """In whole minutes, so that not every look has other ones."""
    if place is None or place.earliest is None or place.latest is None:
        return None, None
    earliest = place.earliest.replace(second=0, microsecond=0)
    return earliest, place.latest.replace(second=0, microsecond=0) + _MINUTE


def _idle(scene: Scene, lease: Lease) -> datetime | None:
    if not lease.live:
        return None
    since = idle_since(lease, scene.now)
    return since if since is not None and scene.now - since >= _AT_WORK else None


def _hours(scene: Scene, lease: Lease) -> float:
    """To a tenth: a figure that moves every second would be news every second."""
    if lease.granted_at is None:
        return 0.0
    return round(share.in_week(lease, lease.granted_at, scene.now), 1)


# ---- the line -----------------------------------------------------------------------------------


def line_of(scene: Scene, caller: Caller, language: str) -> list[LineOut]:
    """The whole line by size, each in the order in which they would be served now."""
    shown = [
        _waiting(scene, x, scene.places[x.id], caller, language)
        for x in scene.state.waiting() if x.id in scene.places
    ]
    return sorted(shown, key=lambda x: (x.profile, x.position))


def _waiting(
    scene: Scene, lease: Lease, place: Place, caller: Caller, language: str
) -> LineOut:
    r = lease.request
    known = caller.knows(r.user)
    earliest, latest = _range(place if known else None)
    return LineOut(
        position=place.position, id=lease.id if known else None, user=r.user if known else None,
        group=r.group if known else None, mine=caller.owns(r.user), profile=r.profile,
        kind=r.kind, asked_at=r.asked_at,
        reason=_reason(scene, lease, place, caller, language) if known else None,
        eta_earliest=earliest, eta_latest=latest,
    )
