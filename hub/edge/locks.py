"""Lock files: one at a time, over all threads and processes; who is killed lets go."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.errors import Text, Unavailable

_POLL = 0.02  # seconds


class Busy(Unavailable):
    """Somebody else holds the lock."""


@contextmanager
def held(path: Path, wait: float, busy: Text) -> Iterator[None]:
    """Hold this lock file, made where there is none.

    Raises:
        Busy: with this text; somebody else has held it for `wait` seconds.
    """
    with path.open("w") as lock:
        end = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise Busy(busy.template, reason="busy", **busy.values) from None
                time.sleep(_POLL)
        yield
