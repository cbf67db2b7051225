"""The supervisor, on real processes: who dies comes back, who is told to stop stops, in order."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub.config import Settings
from hub.errors import Unavailable
from hub.face import keys, programs, serve
from hub.face.children import Child, Program

ROOT = Path(__file__).resolve().parents[2]


def until(what: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


class Supervised:
    def __init__(self, folder: Path, kind: str = "plain") -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.face.supervised", str(folder), kind], cwd=ROOT,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def pids(self, name: str) -> list[int]:
        path = self.folder / f"{name}.pids"
        return [int(x) for x in path.read_text().split()] if path.exists() else []

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().split() if path.exists() else []

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        pids = [p for name in ("proxy", "hub", "service") for p in self.pids(name)]
        assert not [p for p in pids if p and alive(p)]


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    made = Supervised(tmp_path)
    try:
        until(lambda: all(made.pids(x) for x in ("proxy", "hub", "service")))
        yield made
    finally:
        made.close()


def test_a_killed_hub_comes_back_and_the_proxy_stays(supervised: Supervised) -> None:
    proxy, hub = supervised.pids("proxy")[0], supervised.pids("hub")[0]
    os.kill(hub, signal.SIGKILL)
    until(lambda: len(supervised.pids("hub")) == 2)
    assert alive(proxy)
    assert supervised.pids("proxy") == [proxy]
    assert supervised.lines("restarted") == ["hub"]


def test_what_a_killed_hub_leaves_behind_is_ended_before_the_next(supervised: Supervised) -> None:
    service = supervised.pids("service")[0]
    os.kill(supervised.pids("hub")[0], signal.SIGKILL)
    until(lambda: len(supervised.pids("service")) == 2)
    assert not alive(service)


def test_sigterm_stops_the_hub_first(supervised: Supervised) -> None:
    supervised.process.terminate()
    assert supervised.process.wait(60) == 0
    ends = supervised.lines("ends")
    assert sorted(ends) == ["hub", "proxy", "service"]
    assert ends.index("hub") < ends.index("proxy")


def test_nothing_outlives_a_killed_supervisor(supervised: Supervised) -> None:
    pids = supervised.pids("proxy") + supervised.pids("hub")
    supervised.process.kill()
    until(lambda: not any(map(alive, pids)))
    # the service of the real hub ends by itself (hub/face/lifeline.py); the stand-in's does not
    os.kill(supervised.pids("service")[0], signal.SIGTERM)
    until(lambda: "service" in supervised.lines("ends"))


def test_one_that_keeps_dying_is_started_more_and_more_rarely(tmp_path: Path) -> None:
    made = Supervised(tmp_path, "short")
    try:
        # at once, at once, after 1 s, after 2 s: no more than four starts in the first two seconds
        until(lambda: len(made.pids("hub")) >= 3)
        time.sleep(1)
        assert len(made.pids("hub")) <= 4
    finally:
        made.close()


def test_a_second_supervisor_is_refused_and_told_the_first(supervised: Supervised) -> None:
    settings = Settings(data=supervised.folder / "data")
    assert serve.running(settings) == supervised.process.pid
    with pytest.raises(Unavailable, match=str(supervised.process.pid)), serve.lock(settings):
        pytest.fail("two supervisors on one data folder")


def test_down_ends_it_and_waits(supervised: Supervised) -> None:
    settings = Settings(data=supervised.folder / "data")
    assert serve.down(settings) == supervised.process.pid
    assert supervised.process.wait(60) == 0
    assert serve.running(settings) is None
    assert serve.down(settings) is None


def test_a_stale_pid_file_is_nobody(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    serve.pid_file(settings).parent.mkdir(parents=True)
    serve.pid_file(settings).write_text(f"{os.getpid()}\n")
    assert serve.running(settings) is None
    with serve.lock(settings):
        pass


def test_a_taken_port_names_its_holder_and_the_setting(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(Unavailable) as told:
            programs.check_ports(Settings(data=tmp_path, port=port), "127.0.0.1")
    assert f"Port {port} is taken by pid {os.getpid()}" in told.value.message
    assert "MADANG_PORT" in told.value.message


def test_a_long_log_is_cut_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.face.children._LOG_BYTES", 100)
    code = "import time\nwhile True: print('x' * 49, flush=True); time.sleep(0.02)"
    child = Child(Program("noisy", [sys.executable, "-c", code], tmp_path / "noisy.log"))
    child.start()
    try:
        for generation in (1, 2):
            until(lambda: (tmp_path / "noisy.log").stat().st_size >= 150)
            child.rotate()
            assert (tmp_path / f"noisy.log.{generation}").stat().st_size >= 150
        # the writer goes on at the beginning of the cut file, not behind a hole
        until(lambda: (tmp_path / "noisy.log").stat().st_size >= 50)
        assert (tmp_path / "noisy.log").read_text().startswith("x")
    finally:
        child.stop()


def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    code = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\n"
        "while True: time.sleep(1)"
    )
    log = tmp_path / "deaf.log"
    child = Child(Program("deaf", [sys.executable, "-c", code], log, patience=0.5))
    child.start()
    pid = child.pid
    assert pid
    until(lambda: log.exists() and "up" in log.read_text())
    child.stop()
    assert not alive(pid)


def test_the_unit_starts_this_installation(tmp_path: Path) -> None:
    text = programs.unit(Settings(data=tmp_path), tmp_path / "madang.toml")
    assert re.search(r"^ExecStart=/.*/madang serve$", text, re.MULTILINE)
    assert f"Environment=MADANG_CONFIG={tmp_path}/madang.toml\n" in text
    assert "KillMode=mixed" in text


def test_secrets_are_made_once_and_are_roots_alone(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    keys.ensure(settings)
    before = {x.name: x.read_text() for x in (tmp_path / "secrets").iterdir()}
    keys.ensure(settings)
    assert {x.name: x.read_text() for x in (tmp_path / "secrets").iterdir()} == before
    assert all(x.stat().st_mode & 0o777 == 0o600 for x in (tmp_path / "secrets").iterdir())
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    # JupyterHub's own floors, below which its demo log-in refuses to start
    assert len(keys.read(settings, "user-password")) >= 8
    assert len(keys.read(settings, "admin-password")) >= 32
    with pytest.raises(Unavailable, match="madang serve"):
        keys.read(Settings(data=tmp_path / "elsewhere"), "operator.token")
