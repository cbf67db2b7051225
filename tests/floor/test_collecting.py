"""Handing in: what lay there at the deadline, once, whatever is laid in the way."""

import fcntl
import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.collecting import LEFT_OUT, NOTHING, TOO_LARGE, Collecting
from hub.core.courses import Author
from hub.core.roster import parse
from hub.errors import BadInput, NotFound, Refusal, Unavailable
from hub.publishing import Publishing
from tests.floor.floors import Floor, floor_at

PEOPLE = "name,group,role\nana,ml,student\nbo kim,ml,student\nprof,ml,instructor\ncho,art,student\n"
DUE = "2026-12-01T18:00"


class Class:
    """A course with two students, at a moment that the test moves."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.now = datetime(2026, 11, 24, 9, tzinfo=UTC)
        floor.broker.set_members(parse(PEOPLE, "r"))
        publishing = Publishing(floor.broker, clock=lambda: self.now)
        files = {"course.toml": b'title = "T"\ngroup = "ml"\nzone = "Asia/Seoul"\n', "a.txt": b"a"}
        author = Author("prof", frozenset({"ml"}))
        publishing.publish(publishing.check(files, author, "dl"))
        self.collecting = Collecting(publishing, lambda: self.now)

    def home(self, user: str) -> Path:
        return self.floor.broker.edges.homes.ensure(user)

    def work(self, user: str, path: str, text: str) -> Path:
        file = self.home(user) / "courses/dl" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        for each in (file, *file.parents[:-len(self.home(user).parents)]):
            os.chown(each, 1000, 1000)
        return file

    def plan(self, name: str = "hw1", due: str = DUE) -> None:
        self.collecting.plan("dl", name, "hw1", due, "prof")

    def archive(self, name: str = "hw1") -> dict[str, bytes]:
        packed = b"".join(self.collecting.archive(self.collecting.get("dl", name)))
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
            return {x.name: tar.extractfile(x).read() for x in tar}  # type: ignore[union-attr]

    def said(self, name: str = "hw1") -> dict[str, tuple[int, str]]:
        found = self.collecting.submissions(self.collecting.get("dl", name))
        return {k: (x.files, x.problem) for k, x in found.items()}


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Class]:
    with floor_at(tmp_path, collect_mib=1) as floor:
        yield Class(floor)


def test_it_is_what_lay_there_at_the_deadline(room: Class) -> None:
    room.work("ana", "hw1/answer.txt", "early")
    room.work("bo kim", "hw1/sub/x.txt", "x")
    room.plan()
    room.now = datetime(2026, 12, 1, 8, 59, tzinfo=UTC)  # a minute before, in Seoul
    room.collecting.look()
    assert room.collecting.get("dl", "hw1").taken_at is None
    room.work("ana", "hw1/answer.txt", "in time")
    room.now += timedelta(minutes=2)
    room.collecting.look()
    room.work("ana", "hw1/answer.txt", "late")
    room.collecting.look()
    assert room.archive() == {"ana/hw1/answer.txt": b"in time", "bo-20kim/hw1/sub/x.txt": b"x"}
    assert room.said() == {"ana": (1, ""), "bo kim": (1, "")}


def test_who_was_let_hand_in_late_is_taken_again_and_nobody_else(room: Class) -> None:
    room.work("ana", "hw1/a.txt", "1")
    room.work("bo kim", "hw1/a.txt", "1")
    room.plan(due="")
    for user in ("ana", "bo kim"):
        room.work(user, "hw1/a.txt", "2")
    room.collecting.again("dl", "hw1", "ana", "prof")
    assert room.archive() == {"ana/hw1/a.txt": b"2", "bo-20kim/hw1/a.txt": b"1"}
    with pytest.raises(NotFound):
        room.collecting.again("dl", "hw1", "cho", "prof")
    shutil.rmtree(room.home("ana") / "courses/dl/hw1")
    with pytest.raises(BadInput, match=r"nothing was there.* stays"):
        room.collecting.again("dl", "hw1", "ana", "prof")
    assert room.archive()["ana/hw1/a.txt"] == b"2"
    assert room.said()["ana"] == (1, "")


def test_who_has_nothing_or_too_much_costs_nobody_else_theirs(room: Class) -> None:
    room.work("ana", "hw1/big.bin", "x" * (2 << 20))
    room.work("bo kim", "hw1/a.txt", "1")
    room.plan(due="")
    assert list(room.archive()) == ["bo-20kim/hw1/a.txt"]
    assert room.said()["ana"] == (0, TOO_LARGE)
    room.collecting.plan("dl", "other", "hw9", "", "prof")
    assert set(room.said("other").values()) == {(0, NOTHING)}


def test_links_lead_nowhere(room: Class, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of another")
    work = room.work("ana", "hw1/a.txt", "1")
    (work.parent / "link").symlink_to(secret)
    os.mkfifo(work.parent / "pipe")
    room.home("bo kim")
    (room.work("bo kim", "x", "").parent / "hw1").symlink_to(room.home("ana"))
    room.plan(due="")
    assert room.archive() == {"ana/hw1/a.txt": b"1"}
    assert room.said()["ana"] == (1, LEFT_OUT)


def test_what_is_locked_read_only_or_has_a_second_name_is_handed_in(room: Class) -> None:
    room.work("ana", "hw1/read-only.txt", "1").chmod(0o444)
    os.link(room.work("ana", "hw1/linked.txt", "2"), room.home("ana") / "second")
    with room.work("ana", "hw1/locked.txt", "3").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        room.plan(due="")
    assert room.archive() == {
        "ana/hw1/read-only.txt": b"1", "ana/hw1/linked.txt": b"2", "ana/hw1/locked.txt": b"3",
    }
    assert room.said()["ana"] == (3, "")


def test_feedback_that_its_reader_has_locked_stays(room: Class) -> None:
    place = room.work("ana", "feedback/hw1/g.txt", "mine")
    place.chmod(0o444)
    room.plan(due="")
    (made,) = room.collecting.give_back("dl", "hw1", packed({"ana/g.txt": b"x"}), "prof")
    assert made.problem
    assert place.read_text() == "mine"


def test_a_service_that_died_in_between_takes_nobodys_twice(
    room: Class, monkeypatch: pytest.MonkeyPatch
) -> None:
    for user in ("ana", "bo kim"):
        room.work(user, "hw1/a.txt", "in time")
    room.plan()
    room.now = datetime(2026, 12, 2, tzinfo=UTC)
    taken = Collecting._take
    with monkeypatch.context() as patch:
        def dies(self: Collecting, found: object, user: str, kept: object = None) -> object:
            if user != "ana":
                raise Unavailable("The disk is full.")
            return taken(self, found, user, kept)  # type: ignore[arg-type]

        patch.setattr(Collecting, "_take", dies)
        with pytest.raises(Unavailable):
            room.collecting.look()
    room.work("ana", "hw1/a.txt", "late")
    room.collecting.look()
    assert room.archive()["ana/hw1/a.txt"] == b"in time"
    assert set(room.said()) == {"ana", "bo kim"}


def test_a_time_can_change_until_it_has_come(room: Class) -> None:
    room.plan(due="2026-11-30T18:00")
    room.plan(due=DUE)
    (one,) = room.collecting.list("dl")
    assert one.due == datetime(2026, 12, 1, 9, tzinfo=UTC)
    room.collecting.drop("dl", "hw1", "prof")
    assert not room.collecting.list("dl")
    room.plan(due="")
    for forbidden in (room.plan, lambda: room.collecting.drop("dl", "hw1", "prof")):
        with pytest.raises(BadInput):
            forbidden()


@pytest.mark.parametrize(("name", "path", "due"), [
    ("../x", "hw1", DUE), ("", "hw1", DUE), ("HW", "hw1", DUE), ("hw1", "..", DUE),
    ("hw1", "a/../b", DUE), ("hw1", "", DUE), ("hw1", ".ssh", DUE), ("hw1", "feedback/x", DUE),
    ("hw1", "a\nb", DUE), ("hw1", "x" * 300, DUE), ("hw1", "hw1", "yesterday"),
    ("hw1", "hw1", "2020-01-01T00:00"),
])
def test_what_cannot_be_collected(room: Class, name: str, path: str, due: str) -> None:
    with pytest.raises(BadInput):
        room.collecting.plan("dl", name, path, due, "prof")
    assert not room.collecting.list("dl")


# ---- feedback -----------------------------------------------------------------------------------


def packed(files: dict[str, bytes], link: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(info)
    return out.getvalue()


def test_feedback_comes_into_each_ones_folder(room: Class) -> None:
    room.home("ana")
    room.home("bo kim")
    room.plan(due="")
    made = room.collecting.give_back("dl", "hw1", packed({
        "ana/hw1/grade.html": b"good", "bo-20kim/notes/n.txt": b"better",
    }), "prof")
    assert [(x.user, x.files, x.problem) for x in made] == [("ana", 1, ""), ("bo kim", 1, "")]
    place = room.home("ana") / "courses/dl/feedback/hw1/grade.html"
    assert place.read_bytes() == b"good"
    assert place.stat().st_uid == 1000
    other = room.home("bo kim") / "courses/dl/feedback/hw1/notes/n.txt"
    assert other.read_bytes() == b"better"


def test_it_is_known_who_got_feedback_also_when_collected_again(room: Class) -> None:
    room.work("ana", "hw1/a.txt", "1")
    room.plan(due="")
    hw1 = room.collecting.get("dl", "hw1")
    assert {x.returned_at for x in room.collecting.submissions(hw1).values()} == {None}
    room.collecting.give_back("dl", "hw1", packed({"ana/g.txt": b"g", "bo-20kim/g.txt": b"g"}),
                              "prof")  # Bo has no home yet: nothing can be laid there
    at, room.now = room.now, room.now + timedelta(hours=1)
    room.collecting.again("dl", "hw1", "ana", "prof")
    found = room.collecting.submissions(hw1)
    assert {k: x.returned_at for k, x in found.items()} == {"ana": at, "bo kim": None}
    assert room.collecting.submissions(hw1, "ana") == {"ana": found["ana"]}
    room.home("bo kim")
    again = room.collecting.give_back(
        "dl", "hw1", packed({"ana/g.txt": b"g", "bo-20kim/g.txt": b"g"}), "prof")
    assert [(x.files, x.new) for x in again] == [(1, 0), (1, 1)]
    found = room.collecting.submissions(hw1)
    assert {k: x.returned_at for k, x in found.items()} == {"ana": at, "bo kim": room.now}, (
        "what lies there already is no news")


def test_what_a_student_wrote_into_it_is_not_lost(room: Class) -> None:
    room.home("ana")
    room.plan(due="")
    room.collecting.give_back("dl", "hw1", packed({"ana/g.txt": b"first"}), "prof")
    place = room.home("ana") / "courses/dl/feedback/hw1/g.txt"
    place.write_bytes(b"my notes")
    room.collecting.give_back("dl", "hw1", packed({"ana/g.txt": b"second"}), "prof")
    assert place.read_bytes() == b"second"
    kept = [x.read_bytes() for x in (room.home("ana") / "courses/dl/.course-backup").rglob("g*")
            if x.is_file()]
    assert kept == [b"my notes"]


@pytest.mark.parametrize("files", [
    {}, {"cho/g.txt": b""}, {"g.txt": b""}, {"ana/g.txt": b"", "../bo/x": b""},
    {"/ana/g.txt": b""},
])
def test_feedback_for_nobody_is_laid_nowhere(room: Class, files: dict[str, bytes]) -> None:
    room.home("ana")
    room.plan(due="")
    with pytest.raises(Refusal):
        room.collecting.give_back("dl", "hw1", packed(files), "prof")
    assert not (room.home("ana") / "courses/dl/feedback").exists()


def test_a_link_is_no_feedback_and_one_in_the_way_is_said(room: Class, tmp_path: Path) -> None:
    room.plan(due="")
    with pytest.raises(BadInput):
        room.collecting.give_back("dl", "hw1", packed({"ana/a": b""}, "ana/l"), "prof")
    folder = room.work("ana", "x", "").parent
    (folder / "feedback").symlink_to(tmp_path)
    (made,) = room.collecting.give_back("dl", "hw1", packed({"ana/a": b"x"}), "prof")
    assert made.problem
    assert not (tmp_path / "hw1").exists()
