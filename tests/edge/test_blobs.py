"""Blobs: each kept once, whole or not at all, and never another than its name says."""

import hashlib
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from hub.edge.blobs import Blobs
from hub.errors import Unavailable


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def files(blobs: Blobs) -> list[Path]:
    return [x for x in blobs.root.rglob("*") if x.is_file()]


def test_it_is_kept_once_under_its_sum_and_nobody_may_write_it(blobs: Blobs) -> None:
    sha256 = blobs.put(b"hello")
    assert sha256 == hashlib.sha256(b"hello").hexdigest()
    assert blobs.put(b"hello") == sha256
    assert blobs.get(sha256) == b"hello"
    (path,) = files(blobs)
    assert path == blobs.path(sha256)
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_is_not_there_and_what_has_changed_is_told(blobs: Blobs) -> None:
    with pytest.raises(Unavailable):
        blobs.get("0" * 64)
    sha256 = blobs.put(b"hello")
    path = blobs.path(sha256)
    path.chmod(0o600)
    path.write_bytes(b"hellO")
    with pytest.raises(Unavailable) as told:
        blobs.get(sha256)
    assert "have changed" in told.value.detail


@pytest.mark.parametrize("name", [
    "", "..", "../../etc/passwd", "0" * 63, "G" * 64, "0" * 63 + "\n",
])
def test_what_is_no_sum_never_becomes_a_path(blobs: Blobs, name: str) -> None:
    with pytest.raises(ValueError, match="no SHA-256"):
        blobs.path(name)


def test_a_full_disk_leaves_nothing(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        blobs.put(b"hello")
    assert not files(blobs)


def test_many_at_once_put_the_same(blobs: Blobs) -> None:
    content = os.urandom(1 << 20)
    threads = [threading.Thread(target=blobs.put, args=(content,)) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [x.read_bytes() for x in files(blobs)] == [content]


def test_a_link_is_the_blob_itself_and_takes_the_place_of_what_was_there(
    blobs: Blobs, tmp_path: Path
) -> None:
    sha256 = blobs.put(b"data")
    target, secret = tmp_path / "data.csv", tmp_path / "secret"
    secret.write_text("not yours")
    target.symlink_to(secret)
    blobs.link(sha256, target)
    assert target.read_bytes() == b"data"
    assert target.stat().st_ino == blobs.path(sha256).stat().st_ino
    assert secret.read_text() == "not yours"
    assert sorted(x.name for x in tmp_path.iterdir()) == ["blobs", "data.csv", "secret"]


# ---- taken back ----------------------------------------------------------------------------------


def test_what_was_made_is_taken_back_and_what_was_there_stays(blobs: Blobs) -> None:
    made: dict[str, int] = {}
    old = blobs.put(b"old")
    assert blobs.put(b"old", made) == old
    blobs.put(b"new", made)
    blobs.put(b"new", made)
    assert len(made) == 1
    blobs.take_back({})
    assert len(files(blobs)) == 2
    blobs.put(b"newer", made)
    blobs.take_back(made)
    assert blobs.get(old) == b"old"
    blobs.take_back(made)


def test_what_somebody_else_has_put_meanwhile_is_theirs(blobs: Blobs, tmp_path: Path) -> None:
    made: dict[str, int] = {}
    sha256 = blobs.put(b"both", made)
    assert Blobs(blobs.root).put(b"both") == sha256
    blobs.take_back(made)
    assert blobs.get(sha256) == b"both"
    assert [x.name for x in files(blobs)] == [sha256]


def test_of_two_who_make_the_same_at_once_neither_loses_it(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slower one finds it there only when its own is written."""
    fast: dict[str, int] = {}
    slow: dict[str, int] = {}
    real = os.fsync

    def fsync(fd: int) -> None:
        monkeypatch.setattr(os, "fsync", real)
        blobs.put(b"same", fast)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    sha256 = blobs.put(b"same", slow)
    assert (list(fast), slow) == ([sha256], {})
    blobs.take_back(slow)
    assert blobs.get(sha256) == b"same"
    blobs.take_back(fast)  # the slower one has put it again
    assert blobs.get(sha256) == b"same"


def test_many_who_keep_and_take_back_lose_nothing_that_is_kept(blobs: Blobs) -> None:
    names = [f"{i}".encode() for i in range(20)]
    kept: list[set[str]] = []

    def one(*, keeps: bool) -> None:
        for _ in range(20):
            made: dict[str, int] = {}
            found = {blobs.put(x, made) for x in names}
            if keeps:
                kept.append(found)
            else:
                blobs.take_back(made)

    threads = [threading.Thread(target=one, kwargs={"keeps": i % 4 == 0}) for i in range(8)]
    for x in threads:
        x.start()
    for x in threads:
        x.join()
    assert {x.name for x in files(blobs)} == set.union(*kept)


def test_what_a_killed_one_has_begun_goes_when_it_is_old(blobs: Blobs) -> None:
    sha256 = blobs.put(b"x")
    old, young = (blobs.path(sha256).parent / f".part-{x}" for x in "ab")
    for x in (old, young, blobs.path(sha256)):
        x.touch()
    for x in (old, blobs.path(sha256)):
        os.utime(x, (1, 1))
    blobs.sweep(2)
    assert {x.name for x in files(blobs)} == {sha256, ".part-b"}


def test_who_is_killed_while_taking_back_loses_nothing_that_another_keeps(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, int] = {}
    sha256 = blobs.put(b"hello", made)
    blobs.put(b"hello")  # who publishes it meanwhile

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hub.edge.blobs._linked", killed)
        with pytest.raises(KeyboardInterrupt):
            blobs.take_back(made)
    blobs.sweep(time.time() - 60)
    assert not blobs.path(sha256).exists(), "it may be at it just now"
    blobs.sweep(time.time() + 60)
    assert blobs.get(sha256) == b"hello"
    assert len(files(blobs)) == 1


def test_a_push_takes_back_what_it_has_twice(blobs: Blobs) -> None:
    made: dict[str, int] = {}
    blobs.put(b"hello", made)
    blobs.put(b"hello", made)
    blobs.take_back(made)
    assert files(blobs) == []
