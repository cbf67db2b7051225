"""A process aside for work on what strangers wrote: comparing notebooks, making pages of them.

Libraries that were made for one's own notebooks take minutes, or all memory, for one that was made
to hurt; in the service that would hold up everybody. Here it has a time, a limit on memory and no
secrets in its environment, and is ended when the time is over. It is started when first needed and
then stays: importing nbdime and nbconvert takes two seconds.

`python -m hub.edge.aside` is that process: it is asked on its standard input, and answers on what
was its standard output; both speak a line of JSON, then as many bytes as it says.
"""

import importlib
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hub.errors import Refusal, Unavailable

log = logging.getLogger("madang.aside")
_ROOT = Path(__file__).resolve().parents[2]
_AT_ONCE = 2
_CROWD = 8  # who work and who wait, together
_PATIENCE = 20.0  # seconds that one waits for a turn: it holds a thread of the service
_OF_ONE = 2  # of one person, who work and who wait
_TIME = 60.0  # seconds for one piece of work: the machine may be busy with what it is there for
_MEMORY = 3 << 30  # bytes of address space
_JOBS = 200  # after which a process is made anew, whatever it has kept


class TooMuch(Refusal):
    """The work took too long, or too much memory, or the notebook is none."""


@dataclass(eq=False)
class _Place:
    """A place in the line; each is one of its own, whoever has it."""

    who: str


class Aside:
    """Does pieces of work in processes aside; safe from many threads. Who comes first is first.

    Args:
        seconds: time for one piece of work.
        crowd: so many may work and wait, together.
        patience: seconds to wait for a turn.
    """

    def __init__(
        self, seconds: float = _TIME, *, crowd: int = _CROWD, patience: float = _PATIENCE
    ) -> None:
        self._seconds = seconds
        self._most = crowd
        self._patience = patience
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._lock = threading.Lock()
        # the first of them work; a semaphore would let who has just ended in again before who waits
        self._line: list[_Place] = []
        self._moved = threading.Condition(self._lock)
        self._closed = False

    def close(self) -> None:
        """End the processes; what is under way there is lost."""
        with self._lock:
            self._closed = True
            ending = [*self._idle, *self._busy]
            self._idle.clear()
            self._moved.notify_all()
        for worker in ending:
            worker.end()

    def call(self, function: str, *given: bytes, who: str = "") -> bytes:
        """What `module:function` makes of `given`, which may be large; `who` it is done for.

        Raises:
            TooMuch: it took too long or too much memory, or the function raised.
            Unavailable: too many ask at once, or it has waited too long for a turn.
        """
        with self._turn(who):
            worker = self._take()
            try:
                answer, made = worker.work(function, given, self._seconds)
            finally:
                self._put(worker)
        if answer.get("ok"):
            return made
        raise TooMuch(
            "This notebook cannot be shown: it is too large, or not a notebook.",
            reason="too-large", status=422,
            detail=f"{function} for {who!r}: {str(answer.get('error'))[:500]!r}",
        )

    @contextmanager
    def _turn(self, who: str) -> Iterator[None]:
        """A place in the line, and a turn once those before it have theirs."""
        place = _Place(who)
        with self._moved:
            own = sum(x.who == who for x in self._line) if who else 0
            if len(self._line) >= self._most or own >= _OF_ONE:
                raise _busy(f"{len(self._line)} work and wait, {own} of them for {who!r}")
            self._line.append(place)
        try:
            with self._moved:
                if not self._moved.wait_for(lambda: self._may(place), self._patience):
                    raise _busy(f"{who!r} has waited {self._patience} s for a turn")
            yield
        finally:
            with self._moved:
                self._line.remove(place)
                self._moved.notify_all()

    def _may(self, place: _Place) -> bool:
        """Whether it is its turn; at the end all go on, to be told."""
        return self._closed or any(x is place for x in self._line[:_AT_ONCE])

    def _take(self) -> "_Worker":
        with self._lock:
            if self._closed:
                raise Unavailable("Madang is stopping. Try again in a minute.")
            while self._idle and not self._idle[-1].alive:
                self._idle.pop().end()
            worker = self._idle.pop() if self._idle else _Worker()
            self._busy.add(worker)
            return worker

    def _put(self, worker: "_Worker") -> None:
        with self._lock:
            self._busy.discard(worker)
            kept = worker.usable and not self._closed
            if kept:
                self._idle.append(worker)
        if not kept:
            worker.end()


def _busy(detail: str) -> Unavailable:
    return Unavailable(
        "Other notebooks are being compared just now. Try again in a few seconds.",
        reason="busy", detail=detail,
    )


class _Worker:
    """One process; one piece of work at a time."""

    def __init__(self) -> None:
        # isolated from the service's environment, in which its token stands
        kept = {k: x for k, x in os.environ.items() if k in {"PATH", "LANG", "LC_ALL", "TMPDIR"}}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hub.edge.aside"], cwd=_ROOT, env=kept,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        self._left = _JOBS
        self.usable = True

    @property
    def alive(self) -> bool:
        """Whether it has not ended meanwhile: a machine short of memory kills it."""
        return self._process.poll() is None

    def work(
        self, function: str, given: tuple[bytes, ...], seconds: float
    ) -> tuple[dict[str, Any], bytes]:
        """(answer, what was made); an answer with `error` where it did not come to one."""
        late = threading.Timer(seconds, self._process.kill)
        late.start()
        self._left -= 1
        try:
            assert self._process.stdin
            assert self._process.stdout
            _send(self._process.stdin, {"call": function, "seconds": seconds}, given)
            answer, made = _received(self._process.stdout)
        except (OSError, ValueError) as e:
            self.usable = False
            return {"error": f"no answer within {seconds} s, or it was killed: {e}"}, b""
        else:
            self.usable = self._left > 0 and not answer.get("full")
            return answer, made[0] if made else b""
        finally:
            late.cancel()

    def end(self) -> None:
        """End it."""
        self.usable = False
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what was not sent yet goes nowhere
                if pipe:
                    pipe.close()
        self._process.wait()


def _send(pipe: IO[bytes], head: dict[str, Any], bodies: tuple[bytes, ...]) -> None:
    pipe.write(json.dumps(head | {"sizes": [len(x) for x in bodies]}).encode() + b"\n")
    for body in bodies:
        pipe.write(body)
    pipe.flush()


def _received(pipe: IO[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """Raises ValueError where the other side is gone."""
    head = json.loads(pipe.readline() or b"?")
    bodies = [pipe.read(x) for x in head["sizes"]]
    if [len(x) for x in bodies] != head["sizes"]:
        raise ValueError("cut short")
    return head, bodies


# ---- the process aside ---------------------------------------------------------------------------


def main() -> None:
    """Work until the service closes the pipe, or is gone."""
    asked = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    # whatever a library prints must not be taken for an answer
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        try:
            head, given = _received(asked)
        except ValueError:
            return
        # where the service was killed, nobody else ends this
        signal.alarm(int(head["seconds"]) + 2)
        answer, made = _done(_function(head["call"]), given)
        signal.alarm(0)
        _send(answers, answer, (made,))
        del given, made


def _function(name: str) -> Callable[..., bytes]:
    module, _, function = name.partition(":")
    found: Callable[..., bytes] = getattr(importlib.import_module(module), function)
    return found


def _done(function: Callable[..., bytes], given: list[bytes]) -> tuple[dict[str, Any], bytes]:
    try:
        return {"ok": True}, function(*given)
    except MemoryError as e:
        # what is left of it may fill the next one's memory too
        return {"error": repr(e), "full": True}, b""
    except Exception as e:  # noqa: BLE001 - the libraries raise anything for a broken notebook
        return {"error": repr(e)[:500]}, b""


if __name__ == "__main__":
    main()
