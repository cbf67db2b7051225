"""What takes seconds and must not hold up the tick: starts, stops and removals, in threads."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

log = logging.getLogger("madang.errands")


class Errands:
    """Starts and stops, never two at once for one run, or for one lease."""

    def __init__(self) -> None:
        self._starts = ThreadPoolExecutor(4, thread_name_prefix="madang-start")
        # a stop waits for a run to save: none must keep a start, or another stop, waiting
        self._stops = ThreadPoolExecutor(64, thread_name_prefix="madang-stop")
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let those under way finish; no new ones."""
        self._starts.shutdown(wait=True)
        self._stops.shutdown(wait=True)

    def busy(self, id: str = "") -> bool:
        """Whether something is under way for this run, or without an id for any."""
        return id in self._busy if id else bool(self._busy)

    def start(self, id: str, work: Callable[..., None], *args: object) -> None:
        """Call `work` among the starts, unless something is under way for this run."""
        self._send(self._starts, id, work, *args)

    def stop(self, id: str, work: Callable[..., None], *args: object) -> None:
        """Call `work` among the stops, unless something is under way for this run."""
        self._send(self._stops, id, work, *args)

    def _send(
        self, pool: ThreadPoolExecutor, id: str, work: Callable[..., None], *args: object
    ) -> None:
        with self._lock:
            if id in self._busy:
                return
            self._busy.add(id)

        def errand() -> None:
            try:
                work(*args)
            except Exception:
                log.exception("run %s: %s failed", id, work.__name__)
            finally:
                self._busy.discard(id)

        pool.submit(errand)
