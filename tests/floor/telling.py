"""A notifier on a floor, with a web server and a mail server that it may reach."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hub.core.runs import Run
from hub.face.notified import worded
from hub.notifying import Notifier
from tests.edge.answering import Web
from tests.face.running import until
from tests.floor.floors import Floor, floor_at


class Clock:
    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.at


@contextmanager
def telling_floor(folder: Path, there: Web, **more: Any) -> Iterator[Floor]:
    """A floor whose runs may tell `there`."""
    with floor_at(
        folder, notify_hosts=("127.0.0.1:*",), ntfy_server=f"{there.url}/ntfy", runs_open=50,
        public_url="https://m.example/", **more,
    ) as made:
        yield made


def notifier(floor: Floor, clock: Clock | None = None) -> Notifier:
    """As a service makes it, without its thread: the test does the looks."""
    made = Notifier(
        floor.batch, worded(floor.broker.settings, "/services/madang/"), clock or Clock()
    )
    made.resume()
    floor.batch.mover.tell = made.ended
    return made


def look(made: Notifier) -> None:
    made.look()
    until(lambda: made.idle, "nothing is being sent")


def ended(floor: Floor, code: int = 0, **more: Any) -> Run:
    run = floor.running(**more)
    floor.engine.exit(run.lease_id, code)
    floor.tick()
    until(lambda: floor.batch.get(run.id).done, "it has ended")
    return floor.batch.get(run.id)
