"""Stopping a run in the middle: politely, and after a time not."""

import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it takes a while to import, and a signal may come before
    import asyncio

INTERRUPTED = "interrupted"
TIMED_OUT = "timed-out"
GRACE = 20.0  # seconds; under Docker's time to SIGKILL, which for a run is 30


class Stop:
    """Whether the run shall stop, why, and whether it still has time to save.

    A signal sets it at any moment of the process's life; while cells run, their loop is told.
    """

    def __init__(self) -> None:
        self.cause = ""
        self.hard = False  # the time to save is over
        self.delivered = False  # the notebook's code has been interrupted
        self.grace = GRACE
        self._signals = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: Callable[[], None] = _nothing
        self._kill: Callable[[], None] = _nothing

    def on_signals(self) -> None:
        """Let SIGTERM and SIGINT ask for the stop; the second one means now."""
        # as PID 1 a process ignores every signal that it has no handler for
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, self._signalled)

    def attach(
        self, loop: "asyncio.AbstractEventLoop", stop: Callable[[], None], kill: Callable[[], None]
    ) -> None:
        """From now on `stop` is called in `loop` when asked, and `kill` when the grace is over."""
        self._loop, self._stop, self._kill = loop, stop, kill

    def detach(self) -> None:
        """The cells are over: a stop changes nothing in them any more."""
        self._loop = None

    def ask(self, cause: str) -> None:
        """Ask for the stop, in the loop or before there is one; the first cause stands."""
        if self.cause:
            return
        self.cause = cause
        if self._loop is not None:
            self._loop.call_later(self.grace, self._end)
            self._stop()

    def _end(self) -> None:
        if not self.hard and self._loop is not None:
            self.hard = True
            self._kill()

    def _signalled(self, _sig: int, _frame: FrameType | None) -> None:
        self._signals += 1
        if self._loop is None:
            self.cause = self.cause or INTERRUPTED
            return
        # a handler runs between any two instructions: it only wakes the loop
        act = self.ask if self._signals == 1 else lambda _cause: self._end()
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(act, INTERRUPTED)


def _nothing() -> None:
    pass
