"""`madang.progress(3, 10)`: how far a notebook has come, in Lab, in the log and in the run."""

import operator
import os
import time
from collections.abc import Mapping
from typing import Any

from madang import display

KIND = "application/vnd.madang.progress+json"
PAUSE = 1.0  # seconds between two that are shown; the first and the last always are
LINE = "madang: progress {done}/{of}"
_MOST = 10**9 - 1  # what the service reads


def progress(done: int, of: int) -> None:
    """Show that `done` of `of` steps are done; cheap enough for every step of a loop.

    In Lab it is one line below the cell, which changes; in a run the person who follows it, the
    list of runs and the board show it besides. A script that a notebook calls prints lines.

    Raises:
        TypeError: not whole numbers.
        ValueError: negative ones.
    """
    done, of = operator.index(done), operator.index(of)
    if done < 0 or of < 0:
        raise ValueError(f"progress counts from 0 up, not {done}/{of}")
    if of:
        scale = -(-of // _MOST)
        _SHOWN.show(min(done, of) // scale, of // scale)


class _Shown:
    """What was shown last, and where."""

    def __init__(self) -> None:
        self._at = -PAUSE
        self._now = (0, 0)
        self._shown = (0, 0)
        self._count = -1

    def show(self, done: int, of: int) -> None:
        begins = done < self._now[0]
        self._now = (done, of)
        if time.monotonic() - self._at >= PAUSE or done == of or begins:
            self._show()

    def rest(self, _: object) -> None:
        """A cell has ended: how far it came."""
        if self._now != self._shown:
            self._show()

    def _show(self) -> None:
        self._at, self._shown = time.monotonic(), self._now
        done, of = self._now
        # an output belongs to the cell it was made in, and goes when that is run again
        count = display.execution()
        if self._count < 0:
            display.when_a_cell_ends(self.rest)
        update, self._count = count == self._count, count
        data = {KIND: {"done": done, "of": of}, "text/plain": f"progress {done}/{of}"}
        if not display.show(data, id=f"madang-{os.getpid()}-{count}", update=update):
            print(LINE.format(done=done, of=of), flush=True)


_SHOWN = _Shown()


def told(message: Mapping[str, Any]) -> tuple[int, int] | None:
    """(done, of) where a kernel's message shows progress; None for any other."""
    if message["msg_type"] not in {"display_data", "update_display_data"}:
        return None
    shown = message["content"].get("data", {}).get(KIND)
    if not isinstance(shown, Mapping):
        return None
    done, of = shown.get("done"), shown.get("of")
    if type(done) is not int or type(of) is not int or not 0 <= done <= of <= _MOST:
        return None
    return done, of
