"""The supervisor, the proxy and their logs where the disk is full."""

import errno
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from hub.config import Settings
from hub.face import keys, programs, serve
from hub.face.children import Child, Program
from hub.face.serve import Supervisor
from tests.face.test_serve import until

FULL = Path("/dev/full")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def started(child: Child) -> Iterator[Child]:
    child.start()
    try:
        yield child
    finally:
        child.stop()


def test_a_proxy_whose_log_is_full_goes_on_answering(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, port=free_port(), proxy_api_port=free_port())
    keys.ensure(settings)
    proxy = programs.programs(settings, None, lambda: None)[0]
    proxy = Program(proxy.name, proxy.argv, FULL, proxy.env, cwd=tmp_path, patience=3)
    api = f"http://127.0.0.1:{settings.proxy_api_port}/api/routes"
    token = {"Authorization": f"token {keys.read(settings, 'proxy.token')}"}
    with started(Child(proxy)):
        until(lambda: answers(api, token), 30)
        for i in range(5):  # each is told in the log
            made = httpx.post(f"{api}/x{i}", headers=token, json={"target": "http://127.0.0.1:9"})
            assert made.status_code == 201
        for i in range(5):
            page = httpx.get(f"http://127.0.0.1:{settings.port}/x{i}", timeout=20)
            assert page.status_code == 503
            assert "마당" in page.text


def answers(url: str, token: dict[str, str]) -> bool:
    try:
        return httpx.get(url, headers=token, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_large_request_through_a_slow_line_has_half_an_hour(tmp_path: Path) -> None:
    node = shutil.which("node", path=programs.search_path())
    assert node
    script = "console.log(require('http').createServer({}, () => {}).requestTimeout)"
    said = subprocess.run(
        [node, "--require", str(programs._PAGES / "steady.cjs"), "-e", script],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )
    assert said.stdout == "1800000\n"


def test_one_that_cannot_be_started_does_not_end_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code = "import time\nwhile True: time.sleep(1)"
    bad = Program("bad", [sys.executable, "-c", code], Path("/proc/none/bad.log"))
    good = Program("good", [sys.executable, "-c", code], tmp_path / "log" / "good.log")
    supervisor = Supervisor([bad, good])
    try:
        for _ in range(3):
            supervisor._look()
        first, second = supervisor.children
        assert (first.pid, second.starts) == (None, 1)
        assert second.pid
        assert caplog.text.count("bad cannot be started") == 1, "it is tried again after a pause"
    finally:
        supervisor._stop_all()


def test_a_process_that_was_there_before_is_left_alone() -> None:
    """A supervisor that was tried here ended PostgreSQL, which the tests after it needed."""
    other = subprocess.Popen(["sleep", "600"])
    try:
        supervisor = Supervisor([])
        later = subprocess.Popen(["sleep", "600"])
        supervisor._end_orphans()
        assert other.poll() is None
        until(lambda: later.poll() is not None)
    finally:
        other.kill()
        other.wait()


def test_a_log_that_cannot_be_copied_is_cut_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.face.children._LOG_BYTES", 10)

    def full(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:5])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copy2", full)
    log = tmp_path / "x.log"
    log.write_text("x" * 20)
    Child(Program("x", [], log)).rotate()
    assert (log.read_text(), list(tmp_path.iterdir())) == ("", [log])


def test_the_number_of_the_supervisor_is_written_over_the_last_one(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    path = serve.pid_file(settings)
    for before in ("", "4194304\n", "9" * 40):
        path.parent.mkdir(exist_ok=True)
        path.write_text(before)
        with serve.lock(settings):
            assert serve.running(settings) == os.getpid()
            assert path.stat().st_size == 12
        assert serve.running(settings) is None


def test_many_files_may_be_open() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        serve._many_files()
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        assert soft == min(65536, before[1] if before[1] >= 0 else 65536)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
