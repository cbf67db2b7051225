"""Requests of git that enter and leave courses, many at once."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub.edge.locks import Busy
from hub.publishing import Publishing
from tests.edge.pushing import Work
from tests.floor.floors import floor_at
from tests.floor.publishings import House


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Publishing]:
    with floor_at(tmp_path) as floor:
        yield House(floor).publishing


def aside(what: Callable[[], object]) -> threading.Thread:
    made = threading.Thread(target=what, daemon=True)
    made.start()
    return made


def ended(thread: threading.Thread) -> bool:
    thread.join(20)
    return not thread.is_alive()


def test_a_busy_course_keeps_nobody_from_another(
    shelf: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.enter("busy", push=True)
    there, on = threading.Event(), threading.Event()
    real = Publishing._forget_empty

    def forget(self: Publishing, name: str) -> None:
        if name == "busy":
            there.set()
            on.wait()
        real(self, name)

    monkeypatch.setattr(Publishing, "_forget_empty", forget)
    leaving = aside(lambda: shelf.leave("busy"))
    assert there.wait(20)

    def other() -> None:
        shelf.enter("other", push=True)
        shelf.leave("other")

    try:
        assert ended(aside(other))
        assert not shelf.repo("other").there
        assert leaving.is_alive()
    finally:
        on.set()
    assert ended(leaving)


def test_who_leaves_does_not_wait_for_who_publishes(shelf: Publishing) -> None:
    shelf.enter("torch", push=True)
    with shelf.alone("torch"):
        assert ended(aside(lambda: shelf.leave("torch")))
    assert shelf.repo("torch").there
    shelf.enter("torch", push=True)
    shelf.leave("torch")
    assert not shelf.repo("torch").there


def test_who_publishes_does_not_wait_for_ever(shelf: Publishing) -> None:
    with (
        shelf.alone("torch"), pytest.raises(Busy, match="being published") as refused,
        shelf.alone("torch", wait=0.05),
    ):
        pass
    assert (refused.value.status, refused.value.reason) == (503, "busy")
    with shelf.alone("torch", wait=0):
        pass


def test_only_the_last_one_who_leaves_clears_away(shelf: Publishing) -> None:
    repo = shelf.enter("torch", push=True)
    shelf.enter("torch", push=True)
    left = repo.path / "objects/tmp_objdir-incoming-x/pack"
    left.mkdir(parents=True)
    shelf.leave("torch")
    assert left.exists()
    work = Work(shelf.root.parent / "work")
    work.put("a", "a").commit()
    work("push", "-q", str(repo.path), "main:kept")
    shelf.leave("torch")
    assert repo.there
    assert not left.exists()
    assert not shelf._turns
