"""The supervisor behind `madang serve`: keeps the proxy and the hub running.

Restarting is safe by design: students' servers are containers, what waits is in the store, and
the proxy keeps its routes while the hub is away. SIGTERM stops the hub, then the proxy, and leaves
the containers.
"""

import fcntl
import logging
import logging.handlers
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hub.config import Settings
from hub.errors import Unavailable
from hub.face.children import Child, Program, adopt_orphans, end_orphans
from hub.face.programs import ROOT, answers, check_ports, give_routes_back, programs, url
from hub.machine import children

log = logging.getLogger("madang.serve")
_LOOK = 0.2  # seconds between two looks at the children
_HOUSEKEEPING = 30.0
_DEATHS = 2
_FILES = 65536
_PID = 12  # characters of the file with the supervisor's number
_START = 120  # seconds the hub may take to answer


class Supervisor:
    """Keeps `programs` running, in their order, until told to stop."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self.children = [Child(x) for x in programs]
        # whom this process had before is nobody's orphan: a test's database was ended as one
        self._others = frozenset(children(os.getpid()))
        self._stopping = False
        self._again: set[str] = set()

    def run(self) -> None:
        """Start all, restart who dies, return after SIGTERM or SIGINT when all have stopped."""
        adopt_orphans()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        tidy = time.monotonic()
        try:
            while not self._stopping:
                self._look()
                if time.monotonic() - tidy > _HOUSEKEEPING:
                    tidy = time.monotonic()
                    self._tidy()
                time.sleep(_LOOK)
        finally:
            self._stop_all()

    def restart(self, name: str) -> None:
        """Stop the child `name`; it is started again at the next look."""
        self._again.add(name)

    def _look(self) -> None:
        for child in self.children:
            name = child.program.name
            if name in self._again:
                self._again.discard(name)
                child.stop()
                self._end_orphans()
            code = child.died()
            if code is not None:
                log.error("%s ended with %s; see %s", name, code, child.program.log)
                self._end_orphans()
            if child.due():
                self._start(child)

    def _start(self, child: Child) -> None:
        try:
            child.start()
        except OSError as e:  # the others go on, and so does this one when there is room again
            log.error("%s cannot be started: %s", child.program.name, e)  # noqa: TRY400
            return
        log.info("%s started, pid %s", child.program.name, child.pid)
        if child.starts > 1 and child.program.restarted:
            child.program.restarted()

    def _end_orphans(self) -> None:
        known = self._others | {x.pid for x in self.children}
        end_orphans([x for x in children(os.getpid()) if x not in known])

    def _tidy(self) -> None:
        for child in self.children:
            try:
                child.rotate()
            except OSError as e:
                log.error("the log of %s stays long: %s", child.program.name, e)  # noqa: TRY400

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _stop_all(self) -> None:
        # the hub first: it takes no new request while the proxy still shows its pages
        for child in reversed(self.children):
            child.stop()
            self._end_orphans()
            log.info("%s stopped", child.program.name)


def serve(settings: Settings, config: Path | None, prepare: Callable[[], str]) -> None:
    """Run Madang until SIGTERM.

    Args:
        prepare: called once nobody else can run on this data folder; gives the address of this
            machine on the containers' network, where the hub listens.

    Raises:
        Unavailable: another supervisor runs on this data folder, a port is taken, or the proxy
            is not installed.
    """
    with lock(settings):
        _log_to(settings)
        _many_files()
        gateway = prepare()
        check_ports(settings, gateway)

        def resync() -> None:
            if give_routes_back(settings, gateway):
                log.info("the hub gave the proxy its routes back")
            else:
                log.warning("the hub cannot give the proxy its routes back: it starts again")
                supervisor.restart("hub")

        supervisor = Supervisor(programs(settings, config, resync))
        supervisor.run()


# ---- one supervisor per data folder ----------------------------------------------------------


@contextmanager
def lock(settings: Settings) -> Iterator[None]:
    """Hold the data folder: a second supervisor on it is refused.

    Raises:
        Unavailable: another one holds it; with its pid.
    """
    path = pid_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    (settings.data / "log").mkdir(parents=True, exist_ok=True)
    # not "w": it is another's until it is locked. No longer than before: the disk may be full
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+") as file:  # noqa: PTH123
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise Unavailable(
                "Madang is running already (pid {pid}, data in {data}). `madang down` stops it.",
                pid=running(settings) or "?", data=settings.data) from e
        file.write(f"{os.getpid():<{_PID - 1}}\n")
        file.flush()
        file.truncate(_PID)
        # the file stays: removed, it could be locked by one and made anew by another
        yield


def pid_file(settings: Settings) -> Path:
    """Where the supervisor's pid stands; the lock is on this file."""
    return settings.data / "run" / "serve.pid"


def running(settings: Settings) -> int | None:
    """The supervisor's pid; None when none holds the lock."""
    try:
        with pid_file(settings).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read().strip() or 0) or None
    except OSError:
        pass
    return None


def down(settings: Settings, patience: float = 60.0) -> int | None:
    """Stop the supervisor and wait for its end; its pid, or None when none ran.

    Raises:
        Unavailable: it does not stop.
    """
    pid = running(settings)
    if pid is None:
        return None
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + patience
    while running(settings) == pid:
        if time.monotonic() > end:
            raise Unavailable("pid {pid} does not stop; see {log}", pid=pid,
                              log=settings.data / "log" / "serve.log")
        time.sleep(0.1)
    return pid


# ---- starting it in the background -----------------------------------------------------------


def detach(settings: Settings) -> int:
    """Start `madang serve` in the background and wait until the hub answers; its pid.

    Raises:
        Unavailable: it ended, or does not answer in time; with the end of its log.
    """
    (settings.data / "log").mkdir(parents=True, exist_ok=True)
    output = settings.data / "log" / "serve.out"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "hub.face.cli", "serve"], cwd=ROOT,
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)
    end = time.monotonic() + _START
    while not healthy(settings):
        if process.poll() is not None:
            raise Unavailable("{why}", why=_end_of(output, 3) or "madang serve ended")
        deaths = output.read_text(errors="replace").count("hub ended with")
        if deaths >= _DEATHS or time.monotonic() > end:
            # left to itself it would go on trying, and the next `make run` find it "running"
            down(settings)
            hub = settings.data / "log" / "hub.log"
            raise Unavailable(
                "The hub does not start; the end of {log}:\n{end}", log=hub, end=_end_of(hub, 12))
        time.sleep(0.5)
    return process.pid


def _end_of(path: Path, lines: int) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").strip().splitlines()[-lines:])
    except OSError:
        return ""


def healthy(settings: Settings) -> bool:
    """Whether the hub answers where people reach it."""
    return all(answers(f"{url(settings)}{x}") for x in ("/hub/health", "/services/madang/health"))


def _many_files() -> None:
    """As many open files as the machine allows: 200 people's streams are more than 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _log_to(settings: Settings) -> None:
    handler = logging.handlers.RotatingFileHandler(
        settings.data / "log" / "serve.log", maxBytes=2**20, backupCount=3)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    ours = logging.getLogger("madang")
    ours.addHandler(handler)
    ours.addHandler(logging.StreamHandler())
    ours.setLevel(logging.INFO)
