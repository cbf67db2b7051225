"""The supervisor behind `madang serve`: keeps the proxy and the hub running.

Restarting is safe by design: students' servers are containers, what waits is in the store, and
the proxy keeps its routes while the hub is away. SIGTERM stops the hub, then the proxy, and leaves
the containers.
"""

import fcntl
import logging
import logging.handlers
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hub.config import Settings
from hub.errors import Unavailable
from hub.face import keys
from hub.face.children import Child, Program, adopt_orphans, end_orphans
from hub.machine import children, taken

log = logging.getLogger("madang.serve")
ROOT = Path(__file__).resolve().parents[2]
_LOOK = 0.2  # seconds between two looks at the children
_HOUSEKEEPING = 30.0
_START = 120  # seconds the hub may take to answer


class Supervisor:
    """Keeps `programs` running, in their order, until told to stop."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self.children = [Child(x) for x in programs]
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
        child.start()
        log.info("%s started, pid %s", child.program.name, child.pid)
        if child.starts > 1 and child.program.restarted:
            child.program.restarted()

    def _end_orphans(self) -> None:
        known = {x.pid for x in self.children}
        end_orphans([x for x in children(os.getpid()) if x not in known])

    def _tidy(self) -> None:
        for child in self.children:
            child.rotate()

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _stop_all(self) -> None:
        # the hub first: it takes no new request while the proxy still shows its pages
        for child in reversed(self.children):
            child.stop()
            self._end_orphans()
            log.info("%s stopped", child.program.name)


# ---- what Madang keeps running ---------------------------------------------------------------


def serve(settings: Settings, config: Path | None, prepare: Callable[[], None]) -> None:
    """Run Madang until SIGTERM; `prepare` is called when nobody else can run any more.

    Raises:
        Unavailable: another supervisor runs on this data folder, a port is taken, or the proxy
            is not installed.
    """
    with lock(settings):
        _log_to(settings)
        check_ports(settings)
        prepare()
        supervisor = Supervisor(programs(settings, config, lambda: _resync(supervisor)))
        supervisor.run()


def programs(
    settings: Settings, config: Path | None, resync: Callable[[], None]
) -> list[Program]:
    """The proxy and the hub, as the settings say; `resync` is called for a proxy without routes."""
    logs = settings.data / "log"
    environment = {
        "PATH": search_path(),
        "CONFIGPROXY_AUTH_TOKEN": keys.read(settings, "proxy.token"),
        "PYTHONPATH": str(ROOT),
        **({"MADANG_CONFIG": str(config)} if config else {}),
    }
    hub = [sys.executable, "-m", "jupyterhub", "-f", str(ROOT / "spawner_config.py")]
    return [
        Program("proxy", _proxy(settings), logs / "proxy.log", environment, cwd=settings.data,
                patience=5, restarted=resync),
        Program("hub", hub, logs / "hub.log", environment, cwd=settings.data),
    ]


def _proxy(settings: Settings) -> list[str]:
    script = ROOT / ".madang/node/node_modules/configurable-http-proxy/bin/configurable-http-proxy"
    node = shutil.which("node", path=search_path())
    if not node or not script.exists():
        raise Unavailable("The proxy is not installed: `make run` installs Node.js and it.")
    return [
        node, str(script), "--ip", settings.bind, "--port", str(settings.port),
        "--api-ip", "127.0.0.1", "--api-port", str(settings.proxy_api_port),
    ]


def search_path() -> str:
    """PATH for the children: this environment's programs first (Node.js may be one of them)."""
    return f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"


def check_ports(settings: Settings) -> None:
    """Every port of ours can be had.

    Raises:
        Unavailable: names who has it and the setting that chooses another.
    """
    wanted = (
        (settings.bind, "port"), ("127.0.0.1", "proxy_api_port"),
        ("0.0.0.0", "hub_port"), ("0.0.0.0", "service_port"),  # noqa: S104 - a probe
    )
    for address, name in wanted:
        who = taken(address, getattr(settings, name))
        if who:
            raise Unavailable(
                "Port {port} is taken by {who}. Stop it, or choose another: MADANG_{name}=…",
                port=getattr(settings, name), who=who, name=name.upper())


def _resync(supervisor: Supervisor) -> None:
    """A proxy that was restarted knows no routes, and the hub looks only every five minutes."""
    log.warning("the proxy lost its routes: the hub starts again to give them back")
    supervisor.restart("hub")


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
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise Unavailable(
                "Madang is running already (pid {pid}, data in {data}). `madang down` stops it.",
                pid=running(settings) or "?", data=settings.data) from e
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
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
            raise Unavailable("{why}", why=output.read_text().strip() or "madang serve ended")
        if time.monotonic() > end:
            raise Unavailable(
                "The hub does not answer after {seconds} s; its log: {log}", seconds=_START,
                log=settings.data / "log" / "hub.log")
        time.sleep(0.2)
    return process.pid


def healthy(settings: Settings) -> bool:
    """Whether the hub answers where people reach it."""
    return all(_answers(f"{url(settings)}{x}") for x in ("/hub/health", "/services/madang/health"))


def url(settings: Settings) -> str:
    """Where people on this machine reach Madang."""
    everywhere = settings.bind in {"0.0.0.0", "::", ""}  # noqa: S104 - compared, not bound
    return f"http://{'127.0.0.1' if everywhere else settings.bind}:{settings.port}"


def _answers(address: str) -> bool:
    try:
        # a campus proxy in the environment must not be asked for our own machine
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(address, timeout=5) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004
    except (urllib.error.URLError, OSError, ValueError):
        return False


def unit(settings: Settings, config: Path | None) -> str:
    """A systemd unit that runs Madang from boot."""
    environment = f"Environment=MADANG_CONFIG={config}\n" if config else ""
    return f"""# /etc/systemd/system/{settings.name}.service
[Unit]
Description=Madang, a Jupyter workspace on shared GPUs
Documentation=file://{ROOT}/README.md
Wants=network-online.target
After=network-online.target docker.service
# not Requires=: the hub outlives a restart of Docker, and says so on its pages meanwhile
Wants=docker.service

[Service]
{environment}WorkingDirectory={ROOT}
ExecStart={Path(sys.executable).parent / "madang"} serve
Restart=always
RestartSec=2
# the supervisor stops the hub, then the proxy; containers belong to Docker and go on
KillMode=mixed
TimeoutStopSec=60
UMask=0027

[Install]
WantedBy=multi-user.target
"""


def _log_to(settings: Settings) -> None:
    handler = logging.handlers.RotatingFileHandler(
        settings.data / "log" / "serve.log", maxBytes=2**20, backupCount=3)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    ours = logging.getLogger("madang")
    ours.addHandler(handler)
    ours.addHandler(logging.StreamHandler())
    ours.setLevel(logging.INFO)
