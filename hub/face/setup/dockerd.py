"""Docker Engine: is it there, install it, start it; and the stub hook of simulated cards."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.face.setup import system
from hub.face.setup.talk import ROOT, WORK, Stop, run, say, step

HOOKS = Path("/usr/local/lib/madang/bin")
HOOK = ROOT / "hub" / "edge" / "simulated" / "nvidia-container-runtime-hook"
PID = WORK / "run" / "dockerd.pid"
LOG = WORK / "log" / "dockerd.log"
_DOCKERS_PID = Path("/var/run/docker.pid")
_DROP_IN = Path("/etc/systemd/system/docker.service.d/madang.conf")
_START = 90  # seconds; the first start of a fresh Engine makes its storage


class _Local(http.client.HTTPConnection):
    """HTTP on a Unix socket: Docker's API without a library."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def answers() -> bool:
    """Whether a Docker Engine answers where the settings say."""
    where = system.setting("docker", "unix:///var/run/docker.sock")
    if not where.startswith("unix://"):
        return True  # somebody else's engine: the hub asks it, not we
    connection = _Local(where.removeprefix("unix://"))
    try:
        connection.request("GET", "/_ping")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def ensure() -> None:
    """An Engine answers afterwards: the one that runs, or one installed and started here."""
    if not shutil.which("docker"):
        _install()
    if answers():
        return
    fresh = not shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin")
    if fresh:
        _install()
    install_hook()
    if Path("/run/systemd/system").exists():
        _start_with_systemd(own=fresh)
    else:
        if answers():  # the package's init script started it, without our hook on its PATH
            run(["service", "docker", "stop"])
        with step("Starting Docker Engine", f"by hand, there is no systemd here; log: {LOG}"):
            _start_by_hand()


def _install() -> None:
    why = "people's servers and runs are containers"
    names = ["docker.io", "iptables"]
    # the client is a package of its own from Debian 13 on; the builder is one on Ubuntu
    names += [x for x in ("docker-cli", "docker-buildx") if system.candidate(x)]
    system.apt(*names, why=why)


def install_hook() -> bool:
    """Put the stub hook of simulated cards in its place; True when it was not there before.

    dockerd looks for a hook once, when it starts: it must be there, and on its PATH, by then.
    """
    if not system.simulated() or not HOOK.is_file():
        return False
    target = HOOKS / HOOK.name
    if not Path("/usr/bin/python3").exists():
        system.apt("python3", why="the stub hook of simulated cards runs on it")
    new = not target.exists()
    if new or target.read_bytes() != HOOK.read_bytes():
        HOOKS.mkdir(parents=True, exist_ok=True)
        # a new file and a rename: a container may be starting with the old one
        aside = target.with_suffix(".new")
        shutil.copyfile(HOOK, aside)
        aside.chmod(0o755)
        aside.rename(target)
    return new


def _start_with_systemd(*, own: bool) -> None:
    with step("Starting Docker Engine", "by systemd"):
        if own and system.simulated():
            _DROP_IN.parent.mkdir(parents=True, exist_ok=True)
            _DROP_IN.write_text(
                "# Madang's stub hook for simulated cards; remove it with a real driver.\n"
                f"[Service]\nEnvironment=PATH={HOOKS}:{os.defpath}:/usr/sbin:/sbin\n")
            run(["systemctl", "daemon-reload"])
        run(["systemctl", "enable", "docker"])
        run(["systemctl", "restart" if own else "start", "docker"])
        _wait(None)


def _start_by_hand() -> subprocess.Popen[bytes]:
    LOG.parent.mkdir(parents=True, exist_ok=True)
    PID.parent.mkdir(parents=True, exist_ok=True)
    path = f"{HOOKS}:{os.environ['PATH']}:/usr/local/sbin:/usr/sbin:/sbin"
    with LOG.open("ab") as log:
        process = subprocess.Popen(
            ["dockerd"], start_new_session=True,
            env={**os.environ, "PATH": path, "MADANG_HOOK_LOG": str(LOG.with_name("hook.log"))},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    PID.write_text(str(process.pid))
    _wait(process)
    return process


def _wait(process: subprocess.Popen[bytes] | None) -> None:
    end = time.monotonic() + _START
    while not answers():
        dead = process is not None and process.poll() is not None
        if dead or time.monotonic() > end:
            raise Stop(_why_not(process))
        time.sleep(0.3)


def _why_not(process: subprocess.Popen[bytes] | None) -> str:
    if process is None:
        return "Docker Engine does not answer: see `systemctl status docker`, then run this again."
    tail = LOG.read_text(errors="replace").splitlines()[-8:]
    return "Docker Engine did not start:\n" + "\n".join(f"    {x}" for x in tail) + (
        f"\n  All of it: {LOG}\n  In a container without privileges Docker cannot run: take a"
        " virtual machine, or a real one.")


@contextmanager
def borrowed() -> Iterator[bool]:
    """An Engine for a while: what was not running or not there before is gone afterwards.

    Gives whether it is ours alone, so that a test may restart it.
    """
    was_there = answers()
    new = install_hook()
    ensure()
    try:
        yield not was_there and PID.exists()
    finally:
        if not was_there:
            stop()
        if new:
            (HOOKS / HOOK.name).unlink(missing_ok=True)


def stop() -> None:
    """Stop the dockerd that we started by hand, if any; another's is left alone."""
    if not PID.exists():
        return
    PID.unlink()
    try:
        # Docker's own note, not ours: a test may have started it anew
        pid = int(_DOCKERS_PID.read_text())
        os.kill(pid, signal.SIGTERM)
    except (OSError, ValueError):
        return
    end = time.monotonic() + 30
    while _alive(pid):
        if time.monotonic() > end:
            say(f"  Docker Engine (pid {pid}) does not stop; see {LOG}")
            return
        time.sleep(0.1)


def _alive(pid: int) -> bool:
    try:
        done, _ = os.waitpid(pid, os.WNOHANG)
        return not done
    except ChildProcessError:
        return Path(f"/proc/{pid}").exists()
