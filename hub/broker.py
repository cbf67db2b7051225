"""The verbs of leases: load → step → save → act. The only writer of leases.

Every verb is one write transaction. What it decided is acted upon after it: a crash in between
leaves an intent, and the next tick acts on it.
"""

import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hub import metrics
from hub.config import Settings
from hub.containers import ContainerOptions, container_options, keep_last_words, slice_of
from hub.core import policy
from hub.core.lease import (
    OPEN,
    Asked,
    Effect,
    Ended,
    Event,
    Kind,
    Lease,
    Observed,
    RemoveContainer,
    Request,
    Stage,
    Started,
    State,
    Withdrawn,
    step,
)
from hub.core.mig import Slice
from hub.core.policy import Offer, Place
from hub.core.roster import Member
from hub.edge.engine import Network
from hub.edges import Edges, open_edges
from hub.errors import BadInput, NotFound, Refusal, Unavailable, Unknown

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

    # ---- asking ----------------------------------------------------------------------------

    def ask(
        self, *, user: str, kind: Kind, name: str, profile: str, image: str,
        options: Mapping[str, object] | None = None, group: str = "", id: str = "",
    ) -> Lease:
        """Ask for a slice; asking again for the same (user, kind, name) returns the same lease.

        Granted at once where a slice is free and nobody waits before. An open request for another
        profile is not changed by asking: it is returned as it stands.

        Raises:
            BadInput: unknown profile, a profile that no card here is cut into, an image that is
                not allowed.
            Unavailable: the disk is full, or the store does not answer.
        """
        request = Request(
            id=id or secrets.token_hex(8), user=user, kind=kind, name=name, profile=profile,
            image=image, asked_at=self._clock(), group=group, options=dict(options or {}),
        )
        with self.edges.store.write() as unit:
            before = unit.state
            state = before
            if state.open_for(*request.owner) is None:
                # not where a place is kept already: a restarted hub asks again for it
                self._check_image(image)
                self._check_disk()
                policy.check_profile(state, profile)
                state, _ = step(state, Asked(request), self._clock())
                state = self._grant(state)
            unit.state = state
            lease = state.open_for(*request.owner)
        assert lease is not None
        metrics.granted(before, state)
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
        return View(lease, policy.place(state, id))

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

    def end(self, id: str, by: str) -> None:
        """End somebody's lease by hand: withdrawn while it waits, else its server is stopped.

        Raises:
            NotFound: no open lease has this id.
        """
        lease = self.edges.store.read().leases.get(id)
        if lease is None or lease.stage not in OPEN:
            raise NotFound("There is no open lease {id}.", id=id)
        cause = f"ended by {by}"
        if lease.request.kind is Kind.SERVER:
            try:
                # the hub cancels a waiting start and stops a running server politely
                self.edges.hub.stop_server(lease.request.user, lease.request.name)
            except (Unknown, Unavailable) as e:
                log.warning("the hub does not stop %s's server: %s", lease.request.user, e)
        self.withdraw(id, cause)

    # ---- looking ---------------------------------------------------------------------------

    def state(self) -> State:
        """All open leases and the slices as last seen."""
        return self.edges.store.read()

    def offers(self) -> tuple[Offer, ...]:
        """The sizes that can be asked for here, smallest first."""
        return policy.offers(self.edges.store.read())

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
        slices, found = self._sample(), self._containers()
        seen = Observed(at, slices, *found) if found else Observed(at, slices, None)
        with self.edges.store.write() as unit:
            before = unit.state
            state, effects = step(before, seen, self._clock())
            state = self._end_long_waits(state)
            state = self._grant(state)
            unit.state = state
        metrics.granted(before, state)
        for effect in effects:
            self._act(effect)
        self._guard_network(at)

    def resume(self) -> bool:
        """Have the hub start again the servers of those who wait or were just granted a slice.

        A restarted hub has forgotten them; their place in the line is in the store. True when the
        hub has taken all of them.
        """
        try:
            known = self.edges.hub.servers()
        except (Unknown, Unavailable) as e:
            log.info("the hub does not take servers yet: %s", e)
            return False
        left = [
            x for x in self._servers_to_resume() if (x.request.user, x.request.name) not in known
        ]
        return all([self._start_again(x) for x in left])  # noqa: C419 - each is asked

    def network(self) -> Network:
        """The containers' network with its firewall, made where missing.

        Raises:
            Unavailable: Docker or iptables does not answer.
        """
        made = self.edges.engine.ensure_network()
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
        )

    # ---- inside ----------------------------------------------------------------------------

    def _tell(self, event: Event) -> None:
        with self.edges.store.write() as unit:
            state, effects = step(unit.state, event, self._clock())
            unit.state = state
        for effect in effects:
            self._act(effect)

    def _grant(self, state: State) -> State:
        now = self._clock()
        for given in policy.grants(state, now):
            state, _ = step(state, given, now)
        return state

    def _act(self, effect: Effect) -> None:
        if isinstance(effect, RemoveContainer):
            log.info("removing the container of lease %s: %s", effect.id, effect.why)
            try:
                keep_last_words(self.settings.data, self.edges.engine, effect.id)
            except (Unknown, Unavailable, OSError) as e:
                # a full disk must not keep a container, and with it a slice, for ever
                log.warning("the last words of lease %s are lost: %s", effect.id, e)
            try:
                self.edges.engine.remove(effect.id)
            except (Unknown, Unavailable) as e:
                log.warning("container of lease %s stays for now: %s", effect.id, e)
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

    def _sample(self) -> tuple[Slice, ...] | None:
        try:
            return self.edges.gpus.sample().slices
        except Unknown as e:
            metrics.UNKNOWN.labels("gpu").inc()
            log.warning("the GPUs give no answer: %s", e)
            return None

    def _end_long_waits(self, state: State) -> State:
        """A server that waited too long, and a little: the hub that waits with it says so first."""
        latest = self._clock() - timedelta(seconds=self.settings.waiting_max) - _GUARD
        for lease in state.waiting():
            if lease.request.kind is Kind.SERVER and lease.request.asked_at < latest:
                state, _ = step(state, Withdrawn(lease.id, "waited too long"), self._clock())
        return state

    def _containers(self) -> tuple[dict[str, bool], dict[str, str]] | None:
        """(lease → it runs, lease → the slice on its label), or None without an answer."""
        try:
            found = self.edges.engine.containers()
        except (Unknown, Unavailable) as e:
            metrics.UNKNOWN.labels("docker").inc()
            log.warning("Docker gives no answer: %s", e)
            return None
        running: dict[str, bool] = {}
        for c in found:
            if c.lease:
                running[c.lease] = running.get(c.lease, False) or c.running
        return running, {c.lease: c.slice for c in found if c.lease and c.slice}

    def _start_again(self, lease: Lease) -> bool:
        """Whether the hub has answered for this one; nobody waits for another's answer."""
        owner = (lease.request.user, lease.request.name)
        try:
            self.edges.hub.start_server(*owner, dict(lease.request.options))
        except (NotFound, BadInput) as e:
            # the person is gone, or may not have this any more: nobody else waits behind it
            log.warning("%s's server is not started again: %s", lease.request.user, e)
            self.withdraw(lease.id, f"could not be started again: {e}")
        except (Unknown, Unavailable) as e:
            log.warning("the hub does not start %s's server yet: %s", lease.request.user, e)
            return False
        else:
            log.info("asked the hub again for %s's server", lease.request.user)
        return True

    def _servers_to_resume(self) -> list[Lease]:
        return [
            x for x in self.edges.store.read().leases.values()
            if x.request.kind is Kind.SERVER and x.stage in OPEN
        ]

    def _check_image(self, image: str) -> None:
        if image not in self.settings.images:
            raise BadInput(
                "The image {image} is not allowed here. Allowed: {allowed}.", reason="image",
                image=image, allowed=", ".join(self.settings.images),
            )

    def _check_disk(self) -> None:
        free = self.edges.homes.free_mib()
        if free < self.settings.disk_free_mib:
            raise Unavailable(
                "The disk is full, so nothing new can start; your files are safe. Please tell the "
                "operator.", reason="disk-full", status=507,
                detail=f"{free} MiB free in {self.settings.data}; disk_free_mib is "
                f"{self.settings.disk_free_mib}",
            )


def open_broker(settings: Settings) -> Broker:
    """The broker on the edges that the settings name."""
    return Broker(settings, open_edges(settings))
