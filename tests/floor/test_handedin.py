"""The archive of a collection: packed while it is read, no further than it is read, never short."""

import gzip
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub.core.courses import Collection
from hub.core.coursetree import Limits
from hub.handedin import pieces_of
from tests.floor.floors import floor_at
from tests.floor.test_collecting import Class

MIB = 1 << 20
ANA = {f"hw1/sub/{'과제' * 30}-{n}.bin": os.urandom(n) for n in (0, 511, 512, 3 * MIB)}
BO = {"hw1/answer.txt": b"x" * 600_000, "hw1/big.bin": os.urandom(2 * MIB + 1)}


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Class]:
    """Of ana and bo several MiB were collected."""
    with floor_at(tmp_path, collect_mib=8) as floor:
        made = Class(floor)
        for user, files in (("ana", ANA), ("bo kim", BO)):
            for path, content in files.items():
                made.work(user, path, "").write_bytes(content)
        made.plan(due="")
        assert made.said() == {"ana": (4, ""), "bo kim": (2, "")}
        yield made


def found(room: Class) -> Collection:
    return room.collecting.get("dl", "hw1")


def kept(room: Class, user: str) -> Path:
    return room.collecting._place(found(room), user)


def test_it_is_what_tar_makes_of_all_files(room: Class) -> None:
    at = found(room)
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:") as tar:
        for folder, files in (("ana", ANA), ("bo-20kim", BO)):
            for path, content in sorted(files.items()):
                info = tarfile.TarInfo(f"{folder}/hw1/{path.removeprefix('hw1/')}")
                info.size, info.mtime = len(content), int(at.due.timestamp())
                tar.addfile(info, io.BytesIO(content))
    assert gzip.decompress(b"".join(room.collecting.archive(at))) == whole.getvalue()


def test_where_nobody_had_anything_it_is_empty_and_whole(room: Class) -> None:
    room.collecting.plan("dl", "none", "hw9", "", "prof")
    assert room.archive("none") == {}


def test_no_student_is_read_before_the_one_before_was_taken(room: Class) -> None:
    read: list[str] = []

    def place(user: str) -> Path:
        read.append(user)
        return kept(room, user)

    taken = room.collecting.submissions(found(room))
    pieces = pieces_of(found(room), taken, place, Limits(8 * MIB, 8 * MIB, 100))
    assert next(pieces)
    assert read == [], "the first byte comes at once"
    sizes = [len(next(pieces)) for _ in range(5)]
    assert read == ["ana"]
    assert max(sizes) < MIB
    pieces.close()
    assert list(pieces) == []
    assert read == ["ana"], "nobody reads on for who has gone"


def gone(file: Path) -> None:
    file.unlink()


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def cut(file: Path) -> None:
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-100])


@pytest.mark.parametrize("harm", [gone, a_folder, cut])
def test_what_cannot_be_read_breaks_it_off_and_it_is_no_archive(
    room: Class, harm: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    pieces = room.collecting.archive(found(room))
    seen = [next(pieces)]
    harm(kept(room, "bo kim"))  # while it is being downloaded
    with pytest.raises(RuntimeError, match="breaks off"):
        seen.extend(pieces)
    assert "the archive of 'hw1' breaks off, for what was taken of 'bo kim'" in caplog.text
    assert sum(map(len, seen)) > 2 * MIB
    with pytest.raises(EOFError):
        gzip.decompress(b"".join(seen))


def test_it_leaves_nothing_on_the_disk_whether_it_is_read_or_not(room: Class) -> None:
    folder = kept(room, "ana").parent
    before = sorted(folder.iterdir())
    pieces = room.collecting.archive(found(room))
    for _ in range(4):
        next(pieces)
        assert sorted(folder.iterdir()) == before
    descriptors = set(os.listdir("/proc/self/fd"))
    next(pieces)
    assert set(os.listdir("/proc/self/fd")) == descriptors
    pieces.close()
