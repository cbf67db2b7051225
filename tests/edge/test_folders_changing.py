"""A student's folder that changes while we write, a full disk, and what a kill leaves."""


import os
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest

from hub.edge import folderio
from hub.edge.folders import ABSENT, Changed, Folder, Odd, Seen, opened
from hub.errors import Unavailable
from tests.edge.folder_fixtures import MOST, UID, names, theirs

# ---- while we look -------------------------------------------------------------------------------


def between(monkeypatch: pytest.MonkeyPatch, call: str, act: Callable[[], object]) -> None:
    """What a student does right before this step of ours."""
    real = getattr(folderio, call)
    done: list[bool] = []

    def first_theirs(*args: object) -> object:
        if not done:
            done.append(True)
            act()
        return real(*args)

    monkeypatch.setattr(folderio, call, first_theirs)


def test_a_file_saved_in_between_stays(
    folder: Folder, at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs(at / "a", "before")
    seen = folder.read("a", MOST)
    between(monkeypatch, "exchange", lambda: theirs(at / "a", "saved just now"))
    with pytest.raises(Changed):
        folder.write("a", b"ours", was=seen)
    assert (at / "a").read_text() == "saved just now"
    assert names(at) == ["a"]


def test_a_file_replaced_in_between_stays(
    folder: Folder, at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs(at / "a", "12345")
    seen = folder.read("a", MOST)

    def save() -> None:
        theirs(at / "b", "54321").replace(at / "a")

    between(monkeypatch, "take", save)
    with pytest.raises(Changed):
        folder.remove("a", was=seen)
    assert (at / "a").read_text() == "54321"
    assert names(at) == ["a"]


def test_a_file_taken_away_in_between_is_not_made_again(
    folder: Folder, at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs(at / "a")
    seen = folder.read("a", MOST)
    between(monkeypatch, "exchange", (at / "a").unlink)
    with pytest.raises(Changed):
        folder.write("a", b"ours", was=seen)
    assert names(at) == []


def test_a_file_made_in_between_stays(
    folder: Folder, at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    between(monkeypatch, "name_new", lambda: theirs(at / "a"))
    with pytest.raises(Changed):
        folder.write("a", b"ours", was=ABSENT)
    assert (at / "a").read_text() == "mine"
    assert names(at) == ["a"]


def test_a_link_laid_in_between_is_swapped_back(
    folder: Folder, at: Path, bo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs(at / "a")
    seen = folder.read("a", MOST)

    def lay() -> None:
        (at / "a").unlink()
        (at / "a").symlink_to(bo / "notes")

    between(monkeypatch, "exchange", lay)
    with pytest.raises(Changed):
        folder.write("a", b"ours", was=seen)
    assert (at / "a").is_symlink()
    assert (bo / "notes").read_text() == "bo's"


def test_a_folder_swapped_for_a_link_again_and_again(folder: Folder, at: Path, bo: Path) -> None:
    """A student in a loop: nothing of ours ever comes to lie where the link points to."""
    (at / "w").mkdir()
    os.chown(at / "w", UID, UID)
    over = threading.Event()

    def student() -> None:
        steps = (
            lambda: (at / "w").rename(at / "gone"), lambda: (at / "w").symlink_to(bo),
            (at / "w").unlink, lambda: (at / "gone").rename(at / "w"),
        )
        while not over.is_set():
            for step in steps:
                with suppress(OSError):  # a folder that we have made is in the way
                    step()

    thread = threading.Thread(target=student)
    thread.start()
    outcomes = set()
    try:
        for i in range(3000):
            try:
                seen = folder.read("w/notes", MOST)
                assert seen.content != b"bo's"
                folder.write(f"w/{i % 7}", b"x", was=folder.look(f"w/{i % 7}"))
                outcomes.add("written")
            except (Odd, Changed) as e:
                outcomes.add(type(e).__name__)
    finally:
        over.set()
        thread.join()
    assert "written" in outcomes
    assert names(bo) == ["notes"]
    assert (bo / "notes").read_text() == "bo's"


def test_where_names_cannot_be_swapped_what_was_read_is_replaced(
    folder: Folder, at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folderio, "exchange", lambda *_: False)
    theirs(at / "a")
    seen = folder.read("a", MOST)
    folder.write("a", b"ours", was=seen)
    assert (at / "a").read_bytes() == b"ours"
    with pytest.raises(Changed):
        folder.write("a", b"again", was=seen)
    assert names(at) == ["a"]


# ---- the disk ------------------------------------------------------------------------------------


def test_a_full_disk_is_told_and_nothing_is_lost(home: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(home)], check=True)
    try:
        os.chown(home, UID, UID)
        theirs(home / "a", "mine")
        with opened(home) as folder:
            seen = folder.read("a", MOST)
            with pytest.raises(Unavailable) as refused:
                folder.write("a", b"x" * 300_000, was=seen)
            assert (refused.value.reason, refused.value.status) == ("disk-full", 507)
            with pytest.raises(Unavailable):
                folder.write("week1/b", b"x" * 300_000, was=ABSENT)
            assert (home / "a").read_text() == "mine"
            assert names(home) == ["a", "week1"]
            folder.write("a", b"x" * 100_000, was=seen)
            assert (home / "a").stat().st_size == 100_000
    finally:
        subprocess.run(["umount", str(home)], check=True)


# ---- after a kill --------------------------------------------------------------------------------


def hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(("name", "aside", "before", "after", "left"), [
    ("old", "ne", "old", "new", "old"),  # killed while it was written
    ("old", "new", "old", "new", "old"),  # … before it was swapped
    ("new", "old", "old", "new", "new"),  # … after it
    ("new", "saved", "old", "new", "saved"),  # … and its owner had saved it just before
    (None, "ne", "", "new", None),  # … before a new one had its name
    (None, "old", "old", "", None),  # … while it was removed
    (None, "saved", "old", "", "saved"),
    ("again", "old", "old", "", "again"),
    ("old", None, "old", "new", "old"),
])
def test_what_a_kill_left_is_settled(
    folder: Folder, at: Path, name: str | None, aside: str | None, before: str, after: str,
    left: str | None,
) -> None:
    if name is not None:
        theirs(at / "a", name)
    if aside is not None:
        theirs(at / folderio.aside_of("a"), aside)
    folder.settle("a", before and hashed(before), after and hashed(after), MOST)
    assert names(at) == ([] if left is None else ["a"])
    assert left is None or (at / "a").read_text() == left


def test_a_left_over_of_an_earlier_write_is_in_nobodys_way(folder: Folder, at: Path) -> None:
    theirs(at / folderio.aside_of("a"), "half")
    assert folder.walk(10) == []
    folder.write("a", b"x", was=ABSENT)
    assert names(at) == ["a"]


def test_seen_tells_no_content_in_a_log(folder: Folder, at: Path) -> None:
    theirs(at / "a", "secret-answer")
    assert "secret-answer" not in repr(folder.read("a", MOST))
    assert isinstance(folder.read("a", MOST), Seen)
