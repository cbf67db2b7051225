"""Listening whether a container has ended: who waits for its slice need not wait for a tick too.

Nothing depends on it. What is not heard, because Docker is away or the stream was cut, is seen by
the next tick.
"""

import logging
import threading
from collections.abc import Callable

from hub.edge.engine import Ends, Engine
from hub.errors import Unavailable, Unknown

log = logging.getLogger("madang.watching")


class Watching:
    """A thread that calls `wake` whenever a container of ours has ended.

    Args:
        pause: seconds until Docker is asked again after its stream has ended.
    """

    def __init__(self, engine: Engine, wake: Callable[[], None], pause: float = 2.0) -> None:
        self._engine = engine
        self._wake = wake
        self._pause = pause
        self._stream: Ends | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="madang-watch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Listen no more; waits for the thread's end, at most `timeout` seconds."""
        self._stopped.set()
        stream = self._stream
        if stream is not None:
            stream.close()
        self._thread.join(timeout)

    def _loop(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
            except (Unknown, Unavailable) as e:
                # the tick says it where it matters
                log.debug("Docker tells of no ends: %s", e)
            except Exception:
                log.exception("Docker's events are listened to again later")
            self._stopped.wait(self._pause)

    def _listen(self) -> None:
        with self._engine.ends() as stream:
            self._stream = stream
            if self._stopped.is_set():  # stopped while this was asked for
                return
            self._wake()  # what has ended while nobody listened
            for _ in stream:
                self._wake()
