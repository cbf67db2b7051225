"""An interrupt that waits for the end of a step, but not for ever."""

import os
import signal
import threading
from types import FrameType
from typing import Any, Self


class Interrupts:
    """While it lasts, SIGINT only sets `asked`; the second one raises KeyboardInterrupt.

    So does the first, `patience` seconds later. Only a program's main thread hears signals:
    elsewhere this does nothing, and an interrupt is what it was.
    """

    def __init__(self, patience: float) -> None:
        self.asked = False
        self._patience = patience
        self._pid = os.getpid()
        self._over = False
        self._before: Any = None
        self._heard, self._done = threading.Event(), threading.Event()
        # beforehand: a thread cannot be started safely from within a signal's handler
        self._watch = threading.Thread(target=self._insist, daemon=True)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._watch.start()
            self._before = signal.signal(signal.SIGINT, self._interrupted)
        return self

    def __exit__(self, *_: object) -> None:
        if not self._watch.ident:
            return
        self._over = True
        self._done.set()
        self._heard.set()
        self._watch.join()
        signal.signal(signal.SIGINT, self._before or signal.SIG_DFL)

    def _interrupted(self, _sig: int, _frame: FrameType | None) -> None:
        # Jupyter interrupts the whole process group: a data loader's worker must go on, or the
        # step that is to be finished gets no data
        if os.getpid() != self._pid:
            return
        again, self.asked = self.asked, True
        if self._over:
            return  # told after the block; and what runs here may hold the events' locks
        if again:
            raise KeyboardInterrupt
        self._heard.set()

    def _insist(self) -> None:
        self._heard.wait()
        if not self._done.wait(self._patience):
            os.kill(self._pid, signal.SIGINT)
