"""The thread that finishes what was cut short of courses, and shows what has become visible.

Not the tick: half a gigabyte takes git a while, and leases do not wait for it.
"""

import logging
import threading

from hub.errors import Refusal
from hub.publishing import Publishing

log = logging.getLogger("madang.courses")


class Recovering:
    """Looks every few seconds, one look at a time."""

    def __init__(self, publishing: Publishing, every: float) -> None:
        self._publishing = publishing
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="madang-courses", daemon=True)
        self._said = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """No new look; waits for the one under way, at most `timeout` seconds."""
        self._over.set()
        self._thread.join(timeout)

    def _loop(self) -> None:
        while not self._over.is_set():
            self._look()
            self._over.wait(self._every)

    def _look(self) -> None:
        try:
            self._publishing.recover()
            self._said = ""
        except Refusal as e:
            self._tell(e.detail)
        except Exception as e:  # noqa: BLE001 - the loop outlives every fault, and says it
            self._tell(f"{type(e).__name__}: {e}", e)

    def _tell(self, text: str, error: Exception | None = None) -> None:
        """The same failure once: a look comes every few seconds."""
        if text != self._said:
            log.error("courses are looked at again later: %s", text, exc_info=error)
        self._said = text
