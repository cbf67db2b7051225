"""Questions that may never be answered: each in a thread of its own, waited for so long only.

A call into the driver of a card that fell off the bus takes a minute, or never comes back; nothing
can take it back. NVML may be called from many threads at once.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from typing import TypeVar

log = logging.getLogger("madang.gpu")
T = TypeVar("T")


class InTime:
    """Asks, by name, and never one that has still to answer. One caller at a time."""

    def __init__(self) -> None:
        self._under_way: dict[str, Future[object]] = {}
        self._told: set[str] = set()

    def ask(
        self, questions: Mapping[str, Callable[[], T]], seconds: float
    ) -> dict[str, Future[T]]:
        """The answers, or errors, that came in so many seconds; who is late is not among them.

        What comes later is thrown away: it tells of a moment long past.
        """
        asked = {k: _asked(x) for k, x in questions.items() if not self.hangs(k)}
        self._under_way.update(asked)  # type: ignore[arg-type]
        wait(asked.values(), timeout=seconds)
        came = {k: x for k, x in asked.items() if x.done()}
        for name in questions:
            self._tell(name, seconds, late=name not in came)
        return came

    def hangs(self, name: str = "") -> bool:
        """Whether this one, or without a name any, has still to answer."""
        return any(not x.done() for k, x in self._under_way.items() if name in ("", k))

    def _tell(self, name: str, seconds: float, *, late: bool) -> None:
        if late and name not in self._told:
            self._told.add(name)
            log.error(
                "%s gives no answer in %g seconds: what is on its slices is unknown, so they are"
                " given to nobody until it answers; other cards go on. Look at `nvidia-smi` and at"
                " `dmesg | grep -i -e xid -e nvrm`. A card that fell off the bus, or whose GSP"
                " timed out, comes back with a reset or a reboot of the machine.", name, seconds,
            )
        elif not late and name in self._told:
            self._told.discard(name)
            log.warning("%s answers again", name)


def _asked(question: Callable[[], T]) -> Future[T]:
    answer: Future[T] = Future()

    def ask() -> None:
        try:
            answer.set_result(question())
        except BaseException as e:  # noqa: BLE001 - it is raised where the answer is read
            answer.set_exception(e)

    # a daemon: the process must be able to end while it hangs
    threading.Thread(target=ask, name="madang-look", daemon=True).start()
    return answer
