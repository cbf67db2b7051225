"""The loop that moves everything: one thread, one tick at a time, whatever fails."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from hub import metrics
from hub.batch import Batch
from hub.broker import Broker
from hub.errors import Refusal, Unknown

log = logging.getLogger("madang.tick")
_SAY_AGAIN = 60.0  # seconds after which the same failure is logged anew
# ticks that somebody wakes: one in so many seconds over time, a few at once; never all of the time
_APART, _AT_ONCE = 0.2, 3


class Ticker:
    """Calls `broker.tick()` and `batch.tick()` every `every` seconds, never two at once.

    Sooner when somebody wakes it. Between the two `others`, by their names. At first, and until
    the hub takes it, also `resume()`.
    """

    def __init__(
        self, broker: Broker, batch: Batch, every: float, resume: Callable[[], bool],
        others: Mapping[str, Callable[[], object]] = MappingProxyType({}),
    ) -> None:
        # runs last: what the others have planned asks in the same tick
        self._parts: tuple[tuple[str, Callable[[], object]], ...] = (
            ("leases", broker.tick), *others.items(), ("runs", batch.tick),
        )
        self._resume = resume
        self._resumed = False
        self._every = every
        self._stop = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="madang-tick", daemon=True)
        self._last: float | None = None
        self._said: dict[str, tuple[str, float]] = {}

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """No new tick; waits for the one under way, at most `timeout` seconds."""
        self._stop.set()
        self._woken.set()
        self._thread.join(timeout)

    def wake(self) -> None:
        """Something has changed: the next tick comes now, or soon after the last ones.

        However often this is called, they take a part of the time only.
        """
        self._woken.set()

    @property
    def age(self) -> float | None:
        """Seconds since the last whole tick ended; None before the first."""
        return None if self._last is None else time.monotonic() - self._last

    @property
    def late(self) -> bool:
        """Whether the last whole tick is too long ago. Docker's own time-outs take some seconds."""
        return self.age is None or self.age > max(30.0, 10 * self._every)

    def _loop(self) -> None:
        rested = 0.0  # when all those are over for which the ticks so far have to rest
        while not self._stop.is_set():
            begun = time.monotonic()
            self._woken.clear()
            self._tick()
            took = time.monotonic() - begun
            rested = max(rested, begun) + max(_APART, 2 * took)
            if self._woken.wait(max(0.01, self._every - took)):
                # a wake never makes the next tick later than none would
                early = min(rested - (_AT_ONCE - 1) * _APART, begun + self._every)
                self._stop.wait(max(0.0, early - time.monotonic()))

    def _tick(self) -> None:
        metrics.TICKS.inc()
        with metrics.TICK.time():
            if not self._resumed:
                # the hub may come up after us, or be down just now: ask until it has taken them
                self._resumed = self._try("resume", self._resume) is True
            # a fault in the one must not stop the other
            done = [self._try(name, work) is not _FAILED for name, work in self._parts]
        if all(done):
            self._last = time.monotonic()
            metrics.LAST_TICK.set_to_current_time()

    def _try(self, part: str, work: Callable[[], object]) -> object:
        try:
            result = work()
        except Exception as e:  # noqa: BLE001 - the loop outlives every fault, and says it
            metrics.TICK_FAILURES.labels(part).inc()
            self._tell(part, e)
            return _FAILED
        if part in self._said:
            log.info("tick: %s works again", part)
            del self._said[part]
        return result

    def _tell(self, part: str, error: Exception) -> None:
        """Log a failure; the same one again only after a while: a tick comes every few seconds."""
        text = f"{type(error).__name__}: {error}"
        before, at = self._said.get(part, ("", 0.0))
        if text == before and time.monotonic() - at < _SAY_AGAIN:
            return
        self._said[part] = (text, time.monotonic())
        # what is outside and expected needs no traceback
        known = isinstance(error, Unknown | Refusal)
        log.error("tick: %s failed: %s", part, text, exc_info=None if known else error)


_FAILED = object()
