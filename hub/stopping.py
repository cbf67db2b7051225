"""What runs under an ended lease is stopped: a server through the hub, what is left by Docker.

A run is stopped by `hub.batch`, which lets it save.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock

from hub.containers import keep_last_words
from hub.core.lease import Kind, Lease, RemoveContainer, Stage, State
from hub.edge.engine import Engine
from hub.edges import Edges
from hub.errands import Errands
from hub.errors import Refusal, Unavailable, Unknown

log = logging.getLogger("madang.stop")
_AGAIN = timedelta(seconds=5)


class Stops:
    """Has the hub stop servers. Nobody waits for it: it answers when the server has stopped.

    The hub's own process has no token for the API: what is decided there is stopped by the
    service's next tick, as is what a service that died in between had still to ask for.
    """

    def __init__(self, edges: Edges) -> None:
        self._edges = edges
        self._errands = Errands()
        self._asked: dict[str, datetime] = {}
        self._lock = Lock()

    def close(self) -> None:
        """Let those under way finish; no new ones."""
        self._errands.close()

    def stop(self, lease: Lease, now: datetime) -> None:
        """Ask the hub, unless it was asked for this lease just now or has still to answer."""
        if lease.request.kind is not Kind.SERVER or not self._edges.hub.has_token:
            return
        with self._lock:
            if now - self._asked.get(lease.id, now - _AGAIN) < _AGAIN:
                return
            self._asked[lease.id] = now
        self._errands.stop(lease.id, self._stop, lease)

    def again(self, state: State, running: Mapping[str, bool], now: datetime) -> None:
        """Ask for every server that was told to stop and still runs; `running` by the lease."""
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


def remove(data: Path, engine: Engine, effect: RemoveContainer) -> None:
    """Remove a container and keep its last words. What fails is tried by the next tick."""
    log.info("removing the container of lease %s: %s", effect.id, effect.why)
    try:
        keep_last_words(data, engine, effect.id)
    except (Unknown, Unavailable, OSError) as e:
        # a full disk must not keep a container, and with it a slice, for ever
        log.warning("the last words of lease %s are lost: %s", effect.id, e)
    try:
        engine.remove(effect.id)
    except (Unknown, Unavailable) as e:
        log.warning("container of lease %s stays for now: %s", effect.id, e)
