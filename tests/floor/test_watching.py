"""Listening for ends: heard at once, also after Docker was away, and never a trouble to anybody."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hub.edge.engine import Engine
from hub.watching import Watching
from tests.edge.cable import cable
from tests.edge.docker_fixtures import Yard, yard_at
from tests.face.running import until

pytestmark = pytest.mark.docker


class Woken:
    """Counts."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1

    def after(self, act: Callable[[], object], why: str) -> None:
        """`act` wakes it."""
        before = self.times
        act()
        until(lambda: self.times > before, why)


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    with yard_at(tmp_path) as made:
        yield made


@contextmanager
def watching(engine: Engine, woken: Woken) -> Iterator[Watching]:
    made = Watching(engine, woken, pause=0.05)
    made.start()
    try:
        yield made
    finally:
        made.stop()
        assert not made._thread.is_alive(), "who is stopped listens no more"


def test_an_end_wakes(yard: Yard) -> None:
    woken = Woken()
    with watching(yard.engine, woken):
        until(lambda: woken.times, "what was not heard before may have ended")
        woken.after(lambda: yard.start("pass"), "it is heard")


def test_after_docker_was_away_it_is_heard_again(
    yard: Yard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    woken = Woken()
    with cable(tmp_path) as line:
        engine = Engine(yard.settings.model_copy(update={"docker": line.address}))
        with watching(engine, woken):
            until(lambda: woken.times, "it listens")
            line.cut()
            yard.start("pass")
            yard.wait()
            woken.after(line.mend, "what has ended meanwhile was not heard")
            woken.after(lambda: yard.start("pass"), "it is heard again")
        engine.close()
    assert not [x for x in caplog.records if x.levelname in ("WARNING", "ERROR")]


def test_whatever_goes_wrong_it_goes_on(yard: Yard) -> None:
    woken = Woken()

    def clumsy() -> None:
        woken()
        if woken.times == 1:
            raise ValueError("a fault of ours")

    made = Watching(yard.engine, clumsy, pause=0.05)
    made.start()
    until(lambda: woken.times > 1, "it listens again")
    woken.after(lambda: yard.start("pass"), "it hears")
    made.stop()
