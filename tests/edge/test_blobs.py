"""Blobs: each kept once, whole or not at all, and never another than its name says."""

import hashlib
import os
import stat
import threading
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
