"""`madang course collected -o` against the real service: a whole file, or none."""

import logging
import os
import tarfile
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import httpx
import pytest

from hub.core.courses import Collection
from tests.face.courses import FIRST, file_of, published, updated
from tests.face.running import Running, running, until
from tests.images.test_cli_courses import asked, call

MIB = 1 << 20
BIG = os.urandom(12 * MIB)  # more than the kernel takes from a sender on its own


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """What ana and bo have handed in was collected."""
    with running(
        tmp_path_factory.mktemp("collected"), snapshot_mib=5, collect_mib=20
    ) as made:
        made.app.state.attending._looked = float("inf")
        published(made, FIRST, "Week 1")
        for who, content in (("ana", BIG), ("bo", b"42")):
            updated(made, who)
            file = file_of(made, who, "hw1/answer.bin")
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
            for each in (file, file.parent):
                os.chown(each, 1000, 1000)
        asked(made, "collect", "dl", "hw1", who="teacher")
        yield made


@pytest.fixture
def without_bos(service: Running) -> Iterator[None]:
    """What was taken of bo, the last, is gone from the disk for a while."""
    collecting = service.app.state.collecting
    kept: Path = collecting._place(collecting.get("dl", "hw1"), "bo")
    away = kept.with_suffix(".away")
    kept.rename(away)
    yield
    away.rename(kept)


def test_all_of_it_comes_in_place_of_what_was_there(service: Running, tmp_path: Path) -> None:
    real, out = tmp_path / "real.tar.gz", tmp_path / "hw1.tar.gz"
    real.write_bytes(b"of yesterday")
    out.symlink_to(real)
    done = call(service, "collected", "dl", "hw1", "-o", out)
    assert (done.returncode, done.stdout) == (0, f"{out}: 2 students\n"), done.stderr
    with tarfile.open(real) as tar:
        assert {x.name: x.size for x in tar} == {
            "ana/hw1/answer.bin": len(BIG), "bo/hw1/answer.bin": 2}
    assert sorted(tmp_path.iterdir()) == [out, real]
    assert out.is_symlink()


@pytest.mark.usefixtures("without_bos")
def test_one_that_breaks_off_is_an_error_and_leaves_what_was_there(
    service: Running, tmp_path: Path
) -> None:
    out = tmp_path / "hw1.tar.gz"
    done = call(service, "collected", "dl", "hw1", "-o", out)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("madang: the transfer broke off: ")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
    out.write_bytes(b"of yesterday")
    korean = call(service, "collected", "dl", "hw1", "-o", out, LANG="ko_KR.UTF-8")
    assert "전송이 중간에 끊겼습니다" in korean.stderr
    assert [x.read_bytes() for x in tmp_path.iterdir()] == [b"of yesterday"]


def test_where_nothing_can_be_written_is_said_in_a_line(service: Running, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path, tmp_path / "none" / "x", tmp_path / "file" / "x"):
        done = call(service, "collected", "dl", "hw1", "-o", out)
        assert done.returncode == 2
        assert done.stderr.startswith(f"madang: cannot write {out}: ")
        assert len(done.stderr.splitlines()) == 1
    assert [x.name for x in tmp_path.iterdir()] == ["file"]


def test_a_pipe_is_written_as_it_comes_and_stays_one(service: Running, tmp_path: Path) -> None:
    pipe, copy = tmp_path / "pipe", tmp_path / "copy"
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: copy.write_bytes(pipe.read_bytes()))
    reader.start()
    done = call(service, "collected", "dl", "hw1", "-o", pipe)
    reader.join()
    assert done.returncode == 0, done.stderr
    assert pipe.is_fifo()
    with tarfile.open(copy) as tar:
        assert len(tar.getnames()) == 2
    assert sorted(x.name for x in tmp_path.iterdir()) == ["copy", "pipe"]


# ---- other clients ------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_bos")
def test_any_client_sees_that_it_broke(service: Running) -> None:
    with service.client("t-teacher") as http, http.stream(
        "GET", "api/courses/dl/collections/hw1/archive"
    ) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-disposition"] == 'attachment; filename="dl-hw1.tar.gz"'
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()


@pytest.mark.usefixtures("without_bos")
def test_nothing_is_packed_for_who_has_gone(
    service: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[Generator[bytes, None, None]] = []
    collecting = service.app.state.collecting
    make = collecting.archive

    def archive(found: Collection) -> Generator[bytes, None, None]:
        made.append(make(found))
        return made[-1]

    monkeypatch.setattr(collecting, "archive", archive)
    with caplog.at_level(logging.WARNING), service.client("t-teacher") as http:
        with http.stream("GET", "api/courses/dl/collections/hw1/archive") as answer:
            next(answer.iter_raw())
        until(lambda: made[0].gi_frame is None, "it is closed")  # type: ignore[attr-defined]
    assert "breaks off" not in caplog.text, "it never came to bo"
