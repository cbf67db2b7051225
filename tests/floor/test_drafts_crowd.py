"""Many look at drafts at once: few are in memory, the others wait or are sent away."""

import gzip
import os
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hub import drafts, unpacking
from hub.core.coursetree import Limits
from hub.errors import NotFound, Refusal
from tests.floor.desks import Clock
from tests.floor.floors import floor_at
from tests.floor.test_drafts import TEACHER, TREE, Desk, draft_of, packed


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with floor_at(tmp_path, snapshot_mib=20, course_file_mib=10) as floor:
        made = Desk(floor, Clock())
        yield made
        made.reports.close()


class Held:
    """Diffs that are under way until `on` is set."""

    def __init__(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = threading.Event()
        self.inside = threading.Semaphore(0)
        real = desk.reports.beside

        def beside(*given: Any, **rest: Any) -> Any:
            self.inside.release()
            assert self.on.wait(60)
            return real(*given, **rest)

        monkeypatch.setattr(desk.reports, "beside", beside)
        id = draft_of(desk)
        self.ids = [id, id]
        self.threads = [threading.Thread(target=desk.drafts.compare, args=(
            id, TEACHER, "week1/help.py")) for _ in range(2)]
        for one in self.threads:
            one.start()
        for _ in self.threads:
            assert self.inside.acquire(timeout=60)

    def end(self) -> None:
        self.on.set()
        for one in self.threads:
            one.join(60)


@pytest.mark.parametrize("look", [
    lambda x, id: x.get(id, TEACHER), lambda x, id: x.compare(id, TEACHER, "week1/help.py"),
    lambda x, id: x.check(id, TEACHER), lambda x, id: x.publish(id, TEACHER, ""),
    lambda x, _: x.of_archive(TEACHER, "dl", packed(TREE)),
], ids=("get", "compare", "check", "publish", "new"))
def test_while_two_are_compared_others_wait_and_are_then_told_to_come_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, look: Callable[[drafts.Drafts, str], object]
) -> None:
    held = Held(desk, monkeypatch)
    monkeypatch.setattr(drafts, "_WAIT", 0.05)
    try:
        with pytest.raises(Refusal) as e:
            look(desk.drafts, held.ids[0])
    finally:
        held.end()
    assert (e.value.reason, e.value.status) == ("busy", 429)
    assert desk.drafts.card(held.ids[0], TEACHER)
    assert desk.drafts.get(held.ids[0], TEACHER)[1].ok


def test_who_waits_is_served_when_one_has_ended(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(desk, monkeypatch)
    found: list[Any] = []
    third = threading.Thread(target=lambda: found.append(desk.drafts.get(held.ids[0], TEACHER)))
    third.start()
    held.end()
    third.join(60)
    assert found[0][1].ok


def test_a_crowd_does_not_take_all_threads_of_the_service(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(desk, monkeypatch)
    monkeypatch.setattr(drafts, "_CROWD", 2)
    monkeypatch.setattr(drafts, "_WAIT", 3600)
    try:
        with pytest.raises(Refusal, match="half a minute"):
            desk.drafts.get(held.ids[0], TEACHER)
    finally:
        held.end()


def test_a_fault_gives_the_turn_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "_WAIT", 0.05)
    id = draft_of(desk)
    for _ in range(4):
        with pytest.raises(NotFound):
            desk.drafts.compare(id, TEACHER, "none.py")
        with pytest.raises(Refusal):
            desk.drafts.of_archive(TEACHER, "dl", b"no tar")
    assert desk.drafts.get(id, TEACHER)[1].ok


def test_what_is_shown_of_a_draft_has_not_its_bytes(desk: Desk) -> None:
    id = draft_of(desk, TREE | {"big.bin": os.urandom(4 << 20)})
    tracemalloc.start()
    try:
        shown = [desk.drafts.get(id, TEACHER) for _ in range(5)]
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [x.path for x in shown[0][1].files] == ["big.bin", "week1/a.ipynb", "week1/help.py"]
    assert kept < 2 << 20


def test_unpacking_is_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left after each step is copied: of a large folder that was all of it."""
    given = 0
    real = zlib.decompressobj

    class Counting:
        def __init__(self, bits: int) -> None:
            self._real = real(bits)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def decompress(self, data: bytes, most: int) -> bytes:
            nonlocal given
            given += len(data)
            return self._real.decompress(data, most)

    monkeypatch.setattr(zlib, "decompressobj", Counting)
    sent = packed({"a.bin": os.urandom(24 << 20), "zeros": b"\0" * (24 << 20)})
    tree = unpacking.Sent(sent, Limits())
    assert tree.read("zeros") == b"\0" * (24 << 20)
    assert given < 2 * len(sent)


def test_what_follows_the_archive_is_left_alone() -> None:
    sent = packed(TREE)
    assert len(list(unpacking.Sent(sent + b"\0" * (1 << 17), Limits()).entries())) == 3
    assert len(list(unpacking.Sent(sent + gzip.compress(b"x"), Limits()).entries())) == 3
