"""The verbs of leases: load → step → save → act. The only writer of leases.

Every verb is one write transaction. What it decided is acted upon after it: a crash in between
leaves an intent, and the next tick acts on it.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hub import allowed, metrics, mounts, sight
from hub.config import Settings
from hub.containers import ContainerOptions, container_options, slice_of
from hub.core import claims, holding, policy, roster, sizes
from hub.core.forecast import Place
from hub.core.lease import (
    OPEN,
    Asked,
    Effect,
    Ended,
    Event,
    Extended,
    Kind,
    Lease,
    Observed,
    RemoveContainer,
    Reported,
    Request,
    Stage,
    Started,
    State,
    StopHolder,
    Why,
    Withdrawn,
    step,
)
from hub.core.roster import Member
from hub.core.sizes import Offer
from hub.edge.engine import Network
from hub.edge.store import Unit
from hub.edges import Edges, open_edges
from hub.errors import NotFound, Refusal
from hub.lostzones import LostZones
from hub.outlook import Outlook
from hub.stopping import Stops

log = logging.getLogger("madang.broker")
_GUARD = timedelta(minutes=1)


@dataclass(frozen=True)
class View:
    """A lease and, while it waits, its place in the line."""

    lease: Lease
    place: Place | None


class Broker:
    """Leases for one installation. Safe from many threads and many processes."""

    def __init__(
        self, settings: Settings, edges: Edges,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.settings = settings
        self.edges = edges
        self._clock = clock
        self._guarded = datetime.min.replace(tzinfo=UTC)
        self._stops = Stops(edges, settings.data)
        self._lost_zones = LostZones()
        self.outlook = Outlook(edges.store, clock)

    def close(self) -> None:
        """Let the stops and removals under way finish; no new ones."""
        self._stops.close()

    # ---- asking ----------------------------------------------------------------------------

    def ask(  # noqa: PLR0913 - each is a part of what is asked, by its name
        self, *, user: str, kind: Kind, name: str, profile: str, image: str,
        options: Mapping[str, object] | None = None, group: str = "", id: str = "",
        asked_at: datetime | None = None, again: bool = False, needs: timedelta | None = None,
    ) -> Lease:
        """Ask for a slice; asking again for the same (user, kind, name) returns the same lease.

        Granted at once where a slice is free and nobody goes before. An open request for another
        profile is not changed by asking: it is returned as it stands. `group`: in whose name; ""
        is the first of the person's. `needs`: how long a run will take. `again`: it gave way, and
        keeps what it was once allowed, also where its group has ended or the person has left it.

        Raises:
            BadInput: unknown profile, a profile that no card here is cut into, an image that is
                not allowed, a group that the person is not in or that has ended.
            Refusal: the week's quota is used up (servers only: a run waits for the next week).
            Unavailable: the disk is full, or the store does not answer.
        """
        now = self._clock()
        effects: tuple[Effect, ...] = ()
        with self.edges.store.write() as unit:
            before = unit.state
            state = before
            groups = roster.groups_of(unit.members, user)
            request = Request(
                id=id or secrets.token_hex(8), user=user, kind=kind, name=name, profile=profile,
                image=image, asked_at=asked_at or now, options=dict(options or {}),
                group=group or claims.default_group(state, groups, now), member_of=groups,
                needs=needs,
            )
            if state.open_for(*request.owner) is None:
                # not where a place is kept already: a restarted hub asks again for it
                allowed.check_image(self.settings, image)
                allowed.check_disk(self.settings, self.edges.homes)
                sizes.check_profile(state, profile)
                if not again:
                    claims.check_request(state, request, now)
                state, _ = step(state, Asked(request), now)
                state, effects = policy.turn(state, now)
            unit.state = state
            lease = state.open_for(*request.owner)
        assert lease is not None
        metrics.moved(before, state)
        self._act_all(effects)
        if lease.stage is Stage.WAITING and lease.id not in before.leases:
            self._foretell(state, lease.id)
        return lease

    def look(self, id: str) -> View:
        """The lease as it stands, with its place in the line while it waits.

        Raises:
            NotFound: no such lease was ever made.
        """
        state = self.edges.store.read()
        lease = state.leases.get(id) or self.edges.store.lease(id)
        if lease is None:
            raise NotFound("There is no lease {id}.", id=id)
        return View(lease, self.outlook.place(state, id))

    def withdraw(self, id: str, cause: str) -> None:
        """The asker gives up. Harmless for a lease that has ended."""
        self._tell(Withdrawn(id, cause))

    def started(self, id: str) -> None:
        """The container of this lease is up."""
        self._tell(Started(id))

    def ended(self, id: str, cause: str) -> None:
        """Somebody says that the lease is over; the tick proves it before the slice is free."""
        self._tell(Ended(id, cause))

    def may_start(self, id: str) -> bool:
        """Whether the lease still holds its slice for a container that is about to start."""
        lease = self.edges.store.read().leases.get(id)
        return lease is not None and lease.stage in (Stage.GRANTED, Stage.RUNNING)

    def end(self, id: str, by: str, reason: str = "") -> None:
        """End somebody's lease by hand: withdrawn while it waits, else its server is stopped.

        `by` and `reason` are what its holder reads: they are kept before anything is stopped. The
        hub's own look at the line ends the start of one that waits, and tells it.

        Raises:
            NotFound: no open lease has this id.
        """
        self._open(id)
        cause = f"ended by {by}" + (f": {reason}" if reason else "")
        self._tell(Withdrawn(id, cause, Why.HAND))

    def extend(self, id: str) -> Lease:
        """Promise the holder another `min_hold` from now, where that takes nothing from anybody.

        Raises:
            NotFound: no open lease has this id.
            Refusal: somebody waits for this size, the quota or the latest end does not allow more.
        """
        now = self._clock()
        with self.edges.store.write() as unit:
            before = unit.state
            after, _ = step(before, Extended(id, claims.extension(before, id, now)), now)
            unit.state = after
        metrics.moved(before, after)
        return after.leases[id]

    def report(self, id: str, active_at: datetime) -> Lease:
        """The server of this lease says when it was last at work.

        Raises:
            NotFound: no open lease has this id.
        """
        now = self._clock()
        lease = self._open(id)
        if holding.says_nothing_new(lease, active_at, now):
            return lease
        self._tell(Reported(id, active_at, now))
        return self._open(id)

    def _open(self, id: str) -> Lease:
        lease = self.edges.store.read().leases.get(id)
        if lease is None or lease.stage not in OPEN:
            raise NotFound("There is no open lease {id}.", id=id)
        return lease

    @contextmanager
    def deciding(self) -> Iterator[Unit]:
        """One write of somebody else's; where it changes the state, what is due is then decided."""
        with self.edges.store.write() as unit:
            before = unit.state
            yield unit
            effects: tuple[Effect, ...] = ()
            if unit.state is not before:
                unit.state, effects = policy.turn(unit.state, self._clock())
            after = unit.state
        metrics.moved(before, after)
        self._act_all(effects)

    # ---- looking ---------------------------------------------------------------------------

    def state(self) -> State:
        """All open leases and the slices as last seen."""
        return self.edges.store.read()

    def offers(self) -> tuple[Offer, ...]:
        """The sizes that can be asked for here, smallest first."""
        return sizes.offers(self.edges.store.read())

    def history(self, *, limit: int = 100, user: str | None = None) -> list[Lease]:
        """Leases, newest first, ended ones too."""
        return self.edges.store.leases(limit=limit, user=user)

    def members(self) -> tuple[Member, ...]:
        """The roster."""
        return tuple(self.edges.store.members())

    def set_members(self, members: tuple[Member, ...]) -> None:
        """Replace the roster; logins and roles follow it at once.

        Raises:
            Unavailable: the store does not answer (nothing was changed).
        """
        self.edges.store.set_members(members)

    # ---- the tick --------------------------------------------------------------------------

    def tick(self) -> None:
        """Look at the machine, move the leases, grant what is free, act.

        What gives no answer (NVML, Docker) is left out of the look and changes nothing.
        """
        at = self._clock()
        slices, found = sight.slices(self.edges), sight.containers(self.edges)
        seen = Observed(at, slices, *found) if found else Observed(at, slices, None)
        with self.edges.store.write(alone=True) as unit:
            before = unit.state
            state, effects = step(before, seen, self._clock())
            state = self._end_long_waits(state)
            state, more = policy.turn(state, self._clock())
            unit.state = state
        metrics.moved(before, state)
        self._act_all((*effects, *more))
        self._stops.again(state, seen.containers, self._clock())
        self._lost_zones.look(state.house)
        self._guard_network(at)

    def network(self, *, prepare: bool = False) -> Network:
        """The containers' network with its firewall, made where missing; `prepare` as the engine's.

        Raises:
            Unavailable: Docker or iptables does not answer.
        """
        made = self.edges.engine.ensure_network(prepare=prepare)
        self.edges.firewall.ensure(
            bridge=made.bridge, gateway=made.gateway, deny=self.settings.deny,
            ports=(self.settings.hub_port, self.settings.service_port),
        )
        return made

    def container_options(self, lease: Lease | None, *, user: str, kind: Kind) -> ContainerOptions:
        """What a container of this lease gets; None is a container without a slice.

        Raises:
            Unavailable: the slice's instance is gone (its card was cut anew), or Docker is away.
        """
        network = self.network()  # each time: no container runs behind a flushed firewall
        found = slice_of(self.edges.store.read(), lease)
        return container_options(
            self.settings, lease, found, user=user, kind=kind, network=network,
            pin=self.edges.engine.pin(), home=self.edges.homes.ensure(user),
            courses=mounts.courses(self.settings.data, self.edges, user),
        )

    # ---- inside ----------------------------------------------------------------------------

    def _tell(self, event: Event) -> None:
        with self.edges.store.write() as unit:
            before = unit.state
            after, effects = step(before, event, self._clock())
            unit.state = after
        metrics.moved(before, after)
        self._act_all(effects)

    def _foretell(self, state: State, id: str) -> None:
        """Keep what somebody is told at first, after the grant's write: it takes a while."""
        try:
            told = self.outlook.foretold(state, id)
            if told:
                self._tell(told)
        except Exception:
            log.exception("lease %s waits without a range told at first", id)

    def _act_all(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            self._act(effect)

    def _act(self, effect: Effect) -> None:
        if isinstance(effect, StopHolder):
            lease = self.edges.store.lease(effect.id)
            if lease:
                self._stops.stop(lease, self._clock())
        elif isinstance(effect, RemoveContainer):
            self._stops.remove(effect, self._clock())
        else:
            metrics.TOLD.inc()
            log.error("%s", effect.text)

    def _guard_network(self, now: datetime) -> None:
        """Once a minute: a firewall that somebody flushed is put back."""
        if now - self._guarded < _GUARD:
            return
        self._guarded = now
        try:
            self.network()
        except Refusal:
            log.exception("containers may not be kept apart")

    def _end_long_waits(self, state: State) -> State:
        """A server that waited too long, and a little: the hub that waits with it says so first."""
        latest = self._clock() - timedelta(seconds=self.settings.waiting_max) - _GUARD
        for lease in state.waiting():
            if lease.request.kind is Kind.SERVER and lease.request.asked_at < latest:
                state, _ = step(state, Withdrawn(lease.id, "waited too long"), self._clock())
        return state


def open_broker(settings: Settings) -> Broker:
    """The broker on the edges that the settings name."""
    return Broker(settings, open_edges(settings))
