"""Handing out to those who are away, so that a class does not wait for it in the morning."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from hub.core.lease import Kind
from hub.errors import Refusal, Unavailable, Unknown
from hub.handout import Handouts

log = logging.getLogger("madang.courses")
_LOOK = 15.0  # seconds between two looks whether somebody is behind
_AT_ONCE = 100  # people of one look
THREADS = 4
_AGAIN = 600.0  # seconds after which a failed one is tried again


class Attending:
    """Called by the tick; the work itself is done in threads."""

    def __init__(self, handouts: Handouts) -> None:
        self._handouts = handouts
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="madang-handout")
        self._busy: set[tuple[str, str]] = set()
        self._failed: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()
        self._looked = float("-inf")

    def close(self) -> None:
        """No new ones; those under way end."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return bool(self._busy)

    def tick(self) -> int:
        """Begin what is due; how many that are. Whoever has a server gets it at the next start."""
        if time.monotonic() - self._looked < _LOOK:
            return 0
        self._looked = time.monotonic()
        behind = self._behind()
        if not behind:
            return 0
        try:
            at_work = self._at_work()
        except (Unknown, Unavailable):  # said by the tick's own look
            return 0
        due = [x for x in behind if x[0] not in at_work][:_AT_ONCE]
        for who in due:
            self._send(who)
        return len(due)

    def _behind(self) -> list[tuple[str, str]]:
        """(user, course) of members who have not what is newest; those with a home only."""
        handouts, now = self._handouts, self._handouts.clock()
        members: dict[str, list[str]] = {}
        for x in handouts.broker.members():
            members.setdefault(x.group, []).append(x.name)
        newest, stood = handouts.store.standing()
        return [
            who for course in newest if course.number
            for who in ((x, course.course) for x in members.get(course.group, ()))
            if self._may(who) and handouts.lagging.is_behind(course, stood.get(who), now)
            and handouts.homes.path(who[0]).is_dir()
        ]

    def _may(self, who: tuple[str, str]) -> bool:
        failed = self._failed.get(who)
        return who not in self._busy and (
            failed is None or time.monotonic() - failed > _AGAIN
        )

    def _at_work(self) -> set[str]:
        """Who has a server, or is about to.

        Raises:
            Unknown, Unavailable: Docker does not say.
        """
        edges = self._handouts.broker.edges
        kind = str(Kind.SERVER)
        running = {x.user for x in edges.engine.containers() if x.kind == kind and x.running}
        state = self._handouts.broker.state()
        return running | {
            x.request.user for x in state.leases.values()
            if x.request.kind is Kind.SERVER and x.slice is not None
        }

    def _send(self, who: tuple[str, str]) -> None:
        with self._lock:
            self._busy.add(who)

        def errand() -> None:
            try:
                # it may have waited: who has come to work meanwhile gets it at the next start
                self._handouts.hand_out(*who, may=lambda: who[0] not in self._at_work())
                self._failed.pop(who, None)
            except (Refusal, Unknown, Unavailable) as e:
                self._failed[who] = time.monotonic()
                log.warning("%s is not given what is new in %s: %s", *who, e)
            except Exception:
                self._failed[who] = time.monotonic()
                log.exception("%s is not given what is new in %s", *who)
            finally:
                with self._lock:
                    self._busy.discard(who)

        self._pool.submit(errand)
