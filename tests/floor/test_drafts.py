"""Drafts of courses: what is sent is bounded, what a home hides stays there, notebooks are run."""

import gzip
import io
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.core.courses import Author
from hub.core.roster import parse
from hub.drafts import Drafts
from hub.edge.aside import Aside
from hub.errors import BadInput, NotFound, Refusal
from hub.publishing import Publishing
from hub.reports import Reports
from tests.face.running import ROSTER
from tests.floor.desks import Clock
from tests.floor.floors import Floor, floor_at
from tests.notebooks import code, dumped, text

TEACHER = Author("teacher", instructs=frozenset({"ml"}))
TOML = b'title = "Deep learning"\ngroup = "ml"\nprofile = "1g.5gb"\n'
BOOK = dumped(text("t", "# One"), code("c", "x = 1"))
TREE = {"course.toml": TOML, "week1/a.ipynb": BOOK, "week1/help.py": b"y = 2\n"}


def packed(files: Mapping[str, bytes], also: Callable[[tarfile.TarFile], None] | None = None
           ) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        if also:
            also(tar)
    return out.getvalue()


class Desk:
    """Drafts on a real store; time is told."""

    def __init__(self, floor: Floor, clock: Clock) -> None:
        self.floor = floor
        self.clock = clock
        floor.broker.set_members(parse(ROSTER, "roster"))
        self.reports = Reports(floor.batch, Aside(seconds=20), clock=clock)
        self.publishing = Publishing(floor.broker, clock=clock)
        self.drafts = Drafts(self.publishing, floor.batch, self.reports, clock=clock)

    def home(self, files: Mapping[str, bytes]) -> Path:
        home = self.floor.broker.edges.homes.ensure("teacher")
        for name, data in files.items():
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for path in home.rglob("*"):
            os.chown(path, 1000, 1000, follow_symlinks=False)
        return home


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with floor_at(tmp_path, snapshot_mib=5) as floor:
        made = Desk(floor, Clock())
        yield made
        made.reports.close()


def draft_of(desk: Desk, files: Mapping[str, bytes] = TREE) -> str:
    return desk.drafts.of_archive(TEACHER, "dl", packed(files))[0].id


def test_a_draft_says_what_would_be_handed_out_and_is_then_published(desk: Desk) -> None:
    card, draft = desk.drafts.of_archive(TEACHER, "dl", packed(TREE))
    assert draft.ok
    assert [(x.path, x.change) for x in draft.changes()] == [
        ("week1/a.ipynb", "new"), ("week1/help.py", "new")]
    made = desk.drafts.publish(card.id, TEACHER, "first", against=0)
    assert (made.number, made.notes) == (1, "first")
    with pytest.raises(NotFound):
        desk.drafts.get(card.id, TEACHER)
    second = draft_of(desk, TREE | {"week1/help.py": b"y = 3\n", "b.txt": b"b"})
    _, seen = desk.drafts.get(second, TEACHER)
    assert {x.path: x.change for x in seen.changes()} == {
        "week1/a.ipynb": "same", "week1/help.py": "changed", "b.txt": "new"}
    lines = desk.drafts.compare(second, TEACHER, "week1/help.py").cells[0].lines
    assert [(x.mark, x.text) for x in lines] == [("-", "y = 2"), ("+", "y = 3")]
    assert desk.drafts.compare(second, TEACHER, "week1/a.ipynb").alike
    with pytest.raises(NotFound):
        desk.drafts.compare(second, TEACHER, "week1/none.py")


def test_what_was_seen_against_an_older_release_is_not_published(desk: Desk) -> None:
    first, second = draft_of(desk), draft_of(desk, TREE | {"b.txt": b"b"})
    desk.drafts.publish(first, TEACHER, "", against=0)
    with pytest.raises(Refusal) as e:
        desk.drafts.publish(second, TEACHER, "", against=0)
    assert e.value.status == 409
    assert len(desk.publishing.releases("dl")) == 1


def test_a_draft_is_its_authors_alone_and_kept_for_a_day(desk: Desk) -> None:
    id = draft_of(desk)
    for who in (Author("ana"), Author("operator", operator=True)):
        with pytest.raises(NotFound):
            desk.drafts.get(id, who)
    for bad in ("../x", "..", "", "0" * 16):
        with pytest.raises(NotFound):
            desk.drafts.get(bad, TEACHER)
    desk.clock.now += timedelta(hours=23)
    desk.drafts.get(id, TEACHER)
    desk.clock.now += timedelta(hours=2)
    with pytest.raises(NotFound):
        desk.drafts.get(id, TEACHER)
    draft_of(desk)
    kept = desk.floor.batch.settings.data / "courses" / ".drafts"
    assert len(list(kept.iterdir())) == 1, "the old one is gone from the disk"


def test_nobody_keeps_more_than_five(desk: Desk) -> None:
    first, *others = [(draft_of(desk), desk.clock.__dict__.update(
        now=desk.clock.now + timedelta(seconds=1)))[0] for _ in range(6)]
    with pytest.raises(NotFound):
        desk.drafts.get(first, TEACHER)
    for id in others:
        desk.drafts.get(id, TEACHER)


# ---- what is sent -------------------------------------------------------------------------


def _sparse(tar: tarfile.TarFile) -> None:
    info = tarfile.TarInfo("huge.bin")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                        "GNU.sparse.name": "huge.bin", "GNU.sparse.realsize": str(1 << 40)}
    info.size = 512
    tar.addfile(info, io.BytesIO(b"0\n" + b"\0" * 510))


@pytest.mark.parametrize(("sent", "reason"), [
    (b"", "snapshot"), (b"PK\3\4 no tar", "snapshot"), (gzip.compress(b"no tar"), "snapshot"),
    (packed(TREE)[:-40], "snapshot"), (packed(TREE)[:100] + b"\0" * 200, "snapshot"),
    (gzip.compress(b"\0" * (300 << 20)), "too-large"),
    (packed({f"{i}": b"" for i in range(6000)}), "too-large"),
], ids=("empty", "zip", "gzip", "cut", "broken", "bomb", "crowd"))
def test_what_is_no_folder_is_refused_and_nothing_is_kept(
    desk: Desk, sent: bytes, reason: str
) -> None:
    with pytest.raises(Refusal) as e:
        desk.drafts.of_archive(TEACHER, "dl", sent)
    assert e.value.reason == reason
    assert not list((desk.floor.batch.settings.data / "courses").glob(".drafts/*"))


def test_twice_the_same_name_is_refused(desk: Desk) -> None:
    def again(tar: tarfile.TarFile) -> None:
        tar.addfile(tarfile.TarInfo("week1/help.py"))

    with pytest.raises(BadInput):
        desk.drafts.of_archive(TEACHER, "dl", packed(TREE, again))


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/passwd", "a/../../x", ".git/config"])
def test_a_path_that_leads_out_is_told_and_never_written(desk: Desk, name: str) -> None:
    card, draft = desk.drafts.of_archive(TEACHER, "dl", packed(TREE | {name: b"x"}))
    assert not draft.ok
    with pytest.raises(Refusal):
        desk.drafts.publish(card.id, TEACHER, "")


def test_links_and_what_is_no_file_are_told(desk: Desk) -> None:
    def links(tar: tarfile.TarFile) -> None:
        for name, kind in (("out", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE),
                           ("pipe", tarfile.FIFOTYPE), ("disk", tarfile.BLKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        _sparse(tar)

    _, draft = desk.drafts.of_archive(TEACHER, "dl", packed(TREE, links))
    assert {x.path for x in draft.problems if x.fatal} >= {"out", "hard", "pipe", "disk"}
    assert not draft.ok


# ---- a folder of a home -------------------------------------------------------------------


def test_a_folder_of_the_home_is_taken_as_it_is_now(desk: Desk) -> None:
    desk.home({f"dl/{k}": x for k, x in TREE.items()} | {
        "dl/.git/config": b"x", "dl/.env": b"KEY=1", "dl/__pycache__/a.pyc": b"x"})
    card, draft = desk.drafts.of_folder(TEACHER, "", "dl")
    assert (card.course, draft.ok) == ("dl", True)
    assert [x.path for x in draft.files] == ["week1/a.ipynb", "week1/help.py"]


def test_links_of_a_home_are_not_followed(desk: Desk, tmp_path: Path) -> None:
    home = desk.home({f"dl/{k}": x for k, x in TREE.items()})
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "course.toml").write_bytes(TOML)
    (home / "dl" / "stolen").symlink_to(secret / "course.toml")
    (home / "way").symlink_to(secret)
    _, draft = desk.drafts.of_folder(TEACHER, "", "dl")
    assert [x.path for x in draft.problems if x.fatal] == ["stolen"]
    for path in ("way", "way/..", "../teacher/dl", "none", "/etc", "dl/../dl", "dl\0"):
        with pytest.raises((NotFound, BadInput)):
            desk.drafts.of_folder(TEACHER, "dl", path)
    for path in ("", "/"):
        with pytest.raises(BadInput):
            desk.drafts.of_folder(TEACHER, "dl", path)


# ---- running its notebooks ----------------------------------------------------------------


def test_each_notebook_is_run_in_a_copy_of_the_whole_course(desk: Desk) -> None:
    id = draft_of(desk, TREE | {"top.ipynb": BOOK, "solutions/x.py": b"1", "course.toml":
                                TOML + b'ignore = ["solutions/**"]\n'})
    desk.drafts.check(id, TEACHER)
    runs = desk.drafts.checks(id, TEACHER)
    assert {k: x.cwd for k, x in runs.items()} == {"top.ipynb": "", "week1/a.ipynb": "week1"}
    run = runs["week1/a.ipynb"]
    assert (run.user, run.profile, run.group) == ("teacher", "1g.5gb", "ml")
    with tarfile.open(fileobj=io.BytesIO(desk.floor.batch.files.snapshot(run.id))) as tar:
        assert sorted(tar.getnames()) == ["top.ipynb", "week1/a.ipynb", "week1/help.py"]


def test_where_one_is_refused_none_is_left_running(desk: Desk) -> None:
    id = draft_of(desk, TREE | {f"{i}.ipynb": BOOK for i in range(5)})  # three may be open
    with pytest.raises(Refusal):
        desk.drafts.check(id, TEACHER)
    assert not desk.floor.batch.counts()
    assert not desk.drafts.checks(id, TEACHER)


@pytest.mark.parametrize(("files", "asked", "reason"), [
    ({"course.toml": b'title = "x"\ngroup = "ml"\n', "a.ipynb": BOOK}, {}, "unknown-profile"),
    ({"course.toml": TOML, "a.txt": b"x"}, {}, "bad-request"),
    ({"course.toml": TOML, "a.ipynb": BOOK}, {"profile": "9g.1gb"}, "unknown-profile"),
    ({"course.toml": TOML, "a.ipynb": BOOK}, {"image": "evil:latest"}, "image"),
])
def test_what_cannot_be_run(
    desk: Desk, files: Mapping[str, bytes], asked: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BadInput) as e:
        desk.drafts.check(draft_of(desk, files), TEACHER, **asked)
    assert e.value.reason == reason
