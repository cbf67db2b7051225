"""Docker's events: who has ended is told in that moment, until somebody does not want to know."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hub.edge.engine import Engine
from hub.errors import Unknown
from tests.edge.cable import cable
from tests.edge.docker_fixtures import SLEEP, Yard, settings_for, yard_at
from tests.face.running import until

pytestmark = pytest.mark.docker


class Ear:
    """Listens in a thread, as the service does."""

    def __init__(self, engine: Engine) -> None:
        self.heard: list[str] = []
        self.running: list[list[bool]] = []  # what the engine said then of its containers
        self.over = False
        self._engine = engine
        self.stream = engine.ends()
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        with self.stream:
            for lease in self.stream:
                self.heard.append(lease)
                seen = self._engine.containers()
                self.running.append([x.running for x in seen if x.lease == lease])
        self._engine.close()
        self.over = True


@contextmanager
def listening(engine: Engine) -> Iterator[Ear]:
    ear = Ear(engine)
    try:
        yield ear
    finally:
        ear.stream.close()
        ear.thread.join(60)
        assert not ear.thread.is_alive(), "who does not listen any more waits for nothing"


def test_an_end_is_told_when_the_engine_knows_of_it(yard: Yard) -> None:
    with listening(yard.engine) as ear:
        lease = yard.start("pass")
        until(lambda: ear.running, "its end is told")
    assert (ear.heard, ear.running) == ([lease], [[False]])


def test_the_ends_of_others_are_not_told(yard: Yard, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with yard_at(tmp_path / "other") as other, listening(yard.engine) as ear:
        other.start("pass")
        other.wait()
        lease = yard.start("pass")
        until(lambda: ear.heard, "ours is told")
        assert ear.heard == [lease]


def test_listening_ends_with_docker(yard: Yard, tmp_path: Path) -> None:
    with cable(tmp_path) as line:
        engine = Engine(yard.settings.model_copy(update={"docker": line.address}))
        with listening(engine) as ear:
            yard.start(SLEEP)
            line.cut()
            until(lambda: ear.over, "it has ended")
            assert ear.heard == []
        engine.close()


def test_a_docker_that_is_away_tells_nothing(tmp_path: Path) -> None:
    away = Engine(settings_for(tmp_path, docker=f"unix://{tmp_path}/no.sock"))
    with pytest.raises(Unknown, match=r"no\.sock"):
        away.ends()
