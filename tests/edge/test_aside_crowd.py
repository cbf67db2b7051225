"""Many come to what works aside at once: they wait in the order of their coming, not long."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hub.edge.aside import Aside, TooMuch
from hub.errors import Unavailable
from tests.edge.test_aside import HERE
from tests.face.running import until


@contextmanager
def made(**given: Any) -> Iterator[Aside]:
    aside = Aside(**given)
    try:
        yield aside
    finally:
        aside.close()


class Gates:
    """Pieces of work that rest until their gate is opened."""

    def __init__(self, aside: Aside, folder: Path, pool: ThreadPoolExecutor) -> None:
        self._aside = aside
        self._folder = folder
        self._pool = pool

    def rest(self, who: str) -> Future[bytes]:
        """One that has a place in the line by now; see `open`."""
        gate = self._folder / who
        gate.touch()
        return self.submit(
            lambda: self._aside.call(f"{HERE}:rest", str(gate).encode(), who=who))

    def submit(self, work: Callable[[], bytes]) -> Future[bytes]:
        before = len(self._aside._line)
        found = self._pool.submit(work)
        until(lambda: len(self._aside._line) > before, "it stands in the line")
        return found

    def open(self, *who: str) -> None:
        for one in who:
            (self._folder / one).unlink()


@contextmanager
def full(folder: Path, **given: Any) -> Iterator[tuple[Aside, Gates]]:
    """All turns are taken, by ana and bo, who rest."""
    with made(**given) as aside, ThreadPoolExecutor(20) as pool:
        gates = Gates(aside, folder, pool)
        resting = [gates.rest(x) for x in ("ana", "bo")]
        try:
            yield aside, gates
        finally:
            for gate in folder.iterdir():
                gate.unlink()
        assert [x.result(60) for x in resting] == [b"rested"] * 2


def test_a_class_that_comes_at_once_is_all_served() -> None:
    with made(crowd=64) as aside, ThreadPoolExecutor(30) as pool:
        together = threading.Barrier(30)

        def ask(number: int) -> bytes:
            together.wait(60)
            return aside.call(f"{HERE}:upper", b"a%d" % number, who=f"student{number}")

        assert list(pool.map(ask, range(30))) == [b"A%d" % x for x in range(30)]
        assert aside._line == []


def test_who_waits_too_long_is_refused_and_leaves_the_line(tmp_path: Path) -> None:
    with full(tmp_path, patience=0.05) as (aside, gates):
        for _ in range(20):
            with pytest.raises(Unavailable, match="few seconds") as refused:
                aside.call(f"{HERE}:upper", b"x", who="cho")
            assert (refused.value.reason, refused.value.status) == ("busy", 503)
            assert "cho" in refused.value.detail
        gates.open("ana")
        until(lambda: len(aside._line) == 1, "ana has ended")
        assert aside.call(f"{HERE}:upper", b"x", who="cho") == b"X"


def test_more_than_may_wait_are_refused_at_once(tmp_path: Path) -> None:
    with full(tmp_path, crowd=4, patience=3600) as (aside, gates):
        waiting = [gates.rest(x) for x in ("cho", "dan")]
        with pytest.raises(Unavailable) as refused:
            aside.call(f"{HERE}:upper", b"x", who="eve")
        assert refused.value.reason == "busy"
        gates.open("ana", "bo", "cho", "dan")
        assert [x.result(60) for x in waiting] == [b"rested"] * 2
        assert aside.call(f"{HERE}:upper", b"x", who="eve") == b"X"


def test_who_has_waited_comes_before_who_comes_again(tmp_path: Path) -> None:
    with full(tmp_path, patience=3600) as (aside, gates):
        done: list[str] = []
        waits = gates.rest("cho")
        again = gates.submit(lambda: aside.call(f"{HERE}:upper", b"x", who="ana"))
        for name, one in (("cho", waits), ("ana", again)):
            one.add_done_callback(lambda _, name=name: done.append(name))
        gates.open("ana")  # who was before them both
        until(lambda: len(aside._line) == 3, "ana has ended")
        assert not again.done()
        gates.open("cho")
        assert again.result(60) == b"X"
        assert done == ["cho", "ana"]


@pytest.mark.parametrize("function", ["fail", "die", "nowhere"])
def test_nothing_is_held_after_what_went_wrong(function: str) -> None:
    with made(patience=0.5) as aside:
        for _ in range(4):
            with pytest.raises(TooMuch):
                aside.call(f"{HERE}:{function}", b"x", who="ana")
        assert aside._line == []
        assert aside.call(f"{HERE}:upper", b"x", who="ana") == b"X"


def test_who_waits_is_told_when_the_service_stops(tmp_path: Path) -> None:
    aside = Aside(patience=3600)
    with ThreadPoolExecutor(3) as pool:
        gates = Gates(aside, tmp_path, pool)
        working = [gates.rest(x) for x in ("ana", "bo")]
        waits = gates.rest("cho")
        until(lambda: len(aside._busy) == 2, "two of them work")
        aside.close()
        with pytest.raises(Unavailable, match="stopping"):
            waits.result(60)
        for one in working:
            with pytest.raises(TooMuch):
                one.result(60)
