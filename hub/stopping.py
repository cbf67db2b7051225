"""What runs under an ended lease is stopped: a server through the hub, what is left by Docker.

A run is stopped by `hub.batch`, which lets it save.
"""

import logging
import time
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock

from hub.containers import keep_last_words
from hub.core.lease import Kind, Lease, RemoveContainer, Stage, State
from hub.edges import Edges
from hub.errands import Errands
from hub.errors import Refusal, Unavailable, Unknown

log = logging.getLogger("madang.stop")
_AGAIN = timedelta(seconds=5)
_LONGEST = timedelta(minutes=5)


class Stops:
    """Has the hub stop servers, and Docker remove what is left. Nobody waits for either.

    The hub answers when the server has stopped; Docker takes long over what cannot be killed.
    The hub's own process has no token for the API: what is decided there is stopped by the
    service's next tick, as is what a service that died in between had still to ask for.
    """

    def __init__(self, edges: Edges, data: Path) -> None:
        self._edges = edges
        self._errands = Errands()
        self._removals = _Removals(edges, data)
        self._asked: dict[str, datetime] = {}
        self._lock = Lock()

    def close(self) -> None:
        """Let those under way finish; no new ones."""
        self._errands.close()
        self._removals.errands.close()

    def remove(self, effect: RemoveContainer, now: datetime) -> None:
        """Remove a container, unless that is under way or has failed just now."""
        self._removals.remove(effect, now)

    def stop(self, lease: Lease, now: datetime) -> None:
        """Ask the hub, unless it was asked for this lease just now or has still to answer."""
        if lease.request.kind is not Kind.SERVER or not self._edges.hub.has_token:
            return
        with self._lock:
            if now - self._asked.get(lease.id, now - _AGAIN) < _AGAIN:
                return
            self._asked[lease.id] = now
        self._errands.stop(lease.id, self._stop, lease)

    def again(
        self, state: State, running: Mapping[str, bool] | None, now: datetime
    ) -> None:
        """Ask for every server that was told to stop and still runs.

        `running`: the containers that are there, by the lease; None where Docker does not say.
        """
        if running is None:
            return
        self._removals.forget_others(running)
        left = [
            x for x in state.leases.values()
            if x.stage is Stage.DRAINING and x.why and running.get(x.id)
        ]
        with self._lock:
            self._asked = {k: x for k, x in self._asked.items() if now - x < _AGAIN}
        for lease in left:
            self.stop(lease, now)

    def _stop(self, lease: Lease) -> None:
        try:
            self._edges.hub.stop_server(lease.request.user, lease.request.name)
        except (Unknown, Refusal) as e:
            # asked again soon; the tick removes its container a little later
            log.warning("the hub does not stop %s's server: %s", lease.request.user, e)


class _Removals:
    """Removals of containers, in threads.

    The tick asks at each look for one that is still there: after a failure there is a pause, and
    a longer one after the next.
    """

    def __init__(self, edges: Edges, data: Path) -> None:
        self._edges = edges
        self._data = data
        # apart from the stops: that the hub has still to answer must not keep a container
        self.errands = Errands()
        self._paused: dict[str, tuple[timedelta, datetime]] = {}
        self._lock = Lock()

    def remove(self, effect: RemoveContainer, now: datetime) -> None:
        with self._lock:
            paused = self._paused.get(effect.id)
        if paused is None or now >= paused[1]:
            self.errands.stop(effect.id, self._remove, effect, now)

    def forget_others(self, there: Collection[str]) -> None:
        """Forget the failures of containers that are gone."""
        with self._lock:
            self._paused = {k: x for k, x in self._paused.items() if k in there}

    def _remove(self, effect: RemoveContainer, now: datetime) -> None:
        """Remove a container and keep its last words. What fails is tried again later."""
        began = time.monotonic()
        engine = self._edges.engine
        log.info("removing the container of lease %s: %s", effect.id, effect.why)
        try:
            keep_last_words(self._data, engine, effect.id)
        except (Unknown, Unavailable, OSError) as e:
            # a full disk must not keep a container, and with it a slice, for ever
            log.warning("the last words of lease %s are lost: %s", effect.id, e)
        try:
            engine.remove(effect.id)
        except (Unknown, Unavailable) as e:
            # from its end on: Docker may have taken longer than the pause
            took = timedelta(seconds=time.monotonic() - began)
            pause = self._pause(effect.id, now + took)
            log.warning(
                "container of lease %s stays for now; tried again in %d s: %s",
                effect.id, pause.total_seconds(), e,
            )
        else:
            with self._lock:
                self._paused.pop(effect.id, None)

    def _pause(self, id: str, now: datetime) -> timedelta:
        with self._lock:
            before, _ = self._paused.get(id, (_AGAIN / 2, None))
            pause = min(before * 2, _LONGEST)
            self._paused[id] = pause, now + pause
        return pause
