"""A push that ends in the middle: whoever sends it, git, or the service has gone."""

import multiprocessing
import os
import signal
import socket
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub import metrics, shelf
from hub.core.courses import Author
from hub.errors import Unavailable
from hub.face import githook
from hub.publishing import Publishing
from tests.face.pushes import Person, good, kept, pack_of, packed
from tests.face.running import PREFIX, Running, running, until


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, course_mib=60, course_file_mib=5, course_files=200) as made:
        yield made


def gits() -> list[str]:
    """The gits of our courses that run."""
    said = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [x for x in said.splitlines() if "http-backend" in x or "receive-pack" in x]


def open_push(service: Running, body: bytes = b"00") -> socket.socket:
    """A teacher's push of which only the beginning comes."""
    host, _, port = service.url.removeprefix("http://").partition(":")
    made = socket.create_connection((host, int(port)))
    made.sendall((
        f"POST {PREFIX}git/torch.git/git-receive-pack HTTP/1.1\r\nHost: x\r\n"
        "Authorization: Bearer t-teacher\r\nTransfer-Encoding: chunked\r\n"
        f"Content-Type: application/x-git-receive-pack-request\r\n\r\n{len(body) + 2:x}\r\n"
    ).encode() + body)
    return made


def test_who_goes_away_in_the_middle_leaves_no_git_and_nothing_else(
    service: Running, publishing: Publishing
) -> None:
    opened = open_push(service)
    until(gits, "git runs")
    opened.close()
    until(lambda: not gits(), "git has ended")
    until(lambda: not kept(publishing), "nothing is left")


def test_a_push_that_is_broken_off_leaves_nothing_of_its_pack(
    service: Running, publishing: Publishing, teacher: Person
) -> None:
    good(teacher)
    teacher.push()
    before = kept(publishing)
    body = os.urandom(1 << 20)
    commit = "1" * 40
    line = f"{commit[::-1]} {commit} refs/heads/x\0 report-status".encode()
    body = f"{len(line) + 4:04x}".encode() + line + b"0000" + pack_of(
        packed(3, len(body), zlib.compress(body)))[:-5000]
    opened = open_push(service, body)

    def coming() -> bool:
        found = kept(publishing) - before
        return any("tmp_objdir-incoming" in x for x in found)

    until(coming, "git takes the pack")
    opened.close()
    until(lambda: kept(publishing) == before, "nothing is left of it")


def test_a_git_that_ends_without_an_answer_is_told_as_such(
    service: Running, publishing: Publishing, teacher: Person, student: Person, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    good(teacher)
    teacher.push()
    dead = tmp_path / "dead" / "git"
    dead.parent.mkdir()
    dead.write_text("#!/bin/sh\necho 'fatal: Out of memory' >&2\nkill -9 $$\n")
    dead.chmod(0o700)
    counted = metrics.REFUSALS.labels("git")._value.get()
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{dead.parent}:{os.environ['PATH']}")
        with service.client("t-ana") as http:
            answer = http.get("git/torch.git/info/refs", params={"service": "git-upload-pack"})
        with service.client("t-teacher", **{"Accept-Language": "ko"}) as http:
            posted = http.post("git/torch.git/git-receive-pack", content=b"0" * (1 << 20))
    assert answer.status_code == posted.status_code == 502
    assert answer.text.startswith("The course's repository does not answer just now.")
    assert posted.text.startswith("지금은 강좌 저장소가 응답하지 않습니다.")
    assert metrics.REFUSALS.labels("git")._value.get() == counted + 2
    assert "git of torch for ana (info/refs): git http-backend: fatal: Out of memory" in caplog.text
    student.clone()


def test_one_person_has_a_few_at_once_and_others_are_served(
    service: Running, teacher: Person, student: Person
) -> None:
    good(teacher)
    teacher.push()
    opened = [open_push(service) for _ in range(4)]
    until(lambda: service.app.state.git_turns["teacher"] == 4, "four are under way")
    assert "429" in teacher.push(code=128)
    student.clone()
    for one in opened:
        one.close()
    until(lambda: not service.app.state.git_turns["teacher"], "all have ended")
    teacher.clone()


@pytest.mark.parametrize(("fault", "told"), [
    (OSError("the store is away"), "It will be published in a moment."),
    (Unavailable("The database does not answer."), "is published when that is mended"),
    (Unavailable("Try again in a minute.", reason="busy"), "It will be published in a moment."),
])
def test_when_publishing_fails_the_pusher_is_told_and_the_tick_does_it(
    publishing: Publishing, teacher: Person, monkeypatch: pytest.MonkeyPatch, fault: Exception,
    told: str,
) -> None:
    real = Publishing._add
    broken = [True]

    def add(self: Publishing, *given: Any) -> Any:
        if broken:
            raise fault
        return real(self, *given)

    monkeypatch.setattr(Publishing, "_add", add)
    good(teacher)
    said = teacher.push()
    assert told in said
    assert ("The database does not answer." in said) == ("mended" in told)
    assert "Try again" not in said
    assert publishing.store.course("torch") is None
    broken.clear()
    until(lambda: publishing.store.course("torch"), "it is out")


def test_who_publishes_meanwhile_is_waited_for_and_then_it_is_published(
    publishing: Publishing, teacher: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "_WAIT", 0.2)
    good(teacher)
    with publishing.alone("torch"):
        said = teacher.remote(teacher.push())
    assert said[-1] == "It will be published in a moment."
    assert not any("Try again" in x for x in said)
    until(lambda: publishing.store.course("torch"), "it is out")


_SLOW = (
    "import time; from hub.edge.blobs import Blobs; put = Blobs.put; "
    "Blobs.put = lambda *x: (time.sleep(0.02), put(*x))[1]; "
)


def test_who_goes_away_while_files_are_kept_leaves_none_of_them(
    publishing: Publishing, teacher: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = "from hub.face.githook import main; "
    assert place in githook._START
    monkeypatch.setattr(githook, "_START", githook._START.replace(place, place + _SLOW))
    good(teacher)
    for i in range(190):
        teacher.put(f"data/{i}.txt", f"{i} {os.urandom(8).hex()}".encode())
    teacher.commit("many files")

    def blobs() -> int:
        return sum(1 for _ in publishing.blobs.root.glob("*/*"))

    pushing = subprocess.Popen(
        ["git", "push", "-q", teacher.url(), "main"], cwd=teacher.folder, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: blobs() > 100, "half of them are kept")
    os.killpg(pushing.pid, signal.SIGKILL)
    pushing.wait()
    until(lambda: not gits(), "git has ended")
    until(lambda: blobs() == 0, "all are taken back")
    assert publishing.store.course("torch") is None
    teacher.push()
    assert publishing.store.course("torch")


def _serve_and_die(folder: Path, told: Any) -> None:
    """In a process of its own: a service that is killed when it is to publish."""

    def dying(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    Publishing.publish_commit = dying  # type: ignore[method-assign]
    Publishing.recover = lambda _: None  # type: ignore[method-assign,assignment]
    with running(folder, tick=60) as service:
        told.send(service.url)
        signal.pause()


def test_a_service_that_is_killed_before_it_publishes_does_it_when_it_is_back(
    tmp_path: Path
) -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(
        target=_serve_and_die, args=(tmp_path, theirs))
    process.start()
    assert ours.poll(60)
    url = ours.recv()
    dead = Running(url, *[None] * 7)  # type: ignore[arg-type]
    teacher = Person(tmp_path / "teacher", dead, "t-teacher")
    commit = good(teacher)
    teacher.run("push", teacher.url(), "main")
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    with running(tmp_path) as service:
        publishing: Publishing = service.app.state.publishing
        until(lambda: publishing.releases("torch"), "the release is out")
        made = publishing.release("torch", 1)
        assert (made.commit, made.by) == (commit, "teacher")
        assert publishing.given("torch", Author("teacher")).against == 1
        student = Person(tmp_path / "ana", service, "t-ana")
        folder, _ = student.clone()
        assert (folder / "week1/a.ipynb").exists()
