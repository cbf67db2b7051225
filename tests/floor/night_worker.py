"""Services that give slots their turn and are killed in the middle: `night_worker URL FOLDER SEED`.

Two at a time, each a fork that kills itself before some statement of the database or some link of a
file. Their clock is the next slot that is due, so none is late, however often they die.
"""

import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import sqlalchemy as sa

from hub.batch import Batch
from hub.broker import Broker
from hub.core.runs import Submission
from hub.core.schedules import Plan
from hub.edge.gpu import Simulated
from hub.edge.homes import Homes
from hub.edge.store import Store
from hub.edges import Edges
from hub.occurring import Occurring
from hub.schedules import Schedules
from tests.face.running import (
    NOTEBOOK,
    PaperEngine,
    PaperFirewall,
    PaperHubApi,
    settings_for,
)

BEGIN = datetime(2027, 10, 30, 22, 20, tzinfo=UTC)  # in this night Amsterdam's clock goes back
END = BEGIN + timedelta(hours=5)
ZONE = "Europe/Amsterdam"


def opened(url: str, folder: Path) -> Schedules:
    """Schedules on this database; Docker and the hub stand aside."""
    settings = settings_for(folder, database=url, runs_open=10_000)
    paper: dict[str, Any] = {
        "engine": PaperEngine(), "hub": PaperHubApi(), "firewall": PaperFirewall(),
    }
    gpus = Simulated(settings.simulated_dir / "madang.json", "node1", settings.simulated)
    edges = Edges(store=Store(url), gpus=gpus, homes=Homes(settings), **paper)
    return Schedules(Batch(Broker(settings, edges)))


def prepare(url: str, folder: Path) -> None:
    """Slices, and two schedules: one run each half hour, three each hour."""
    made = opened(url, folder)
    made.batch.broker.tick()
    made.batch.mover.clock = lambda: BEGIN
    for name, cron, sweep in (
        ("one", "*/30 * * * *", {}), ("three", "10 * * * *", {"epochs": [1, 2, 3]}),
    ):
        what = Submission("ana", "n.ipynb", NOTEBOOK, {}, "1g.5gb", sweep=sweep)
        made.add(what, Plan(name, cron, ZONE, overlap="queue"))
    made.batch.close()
    made.batch.broker.edges.store.close()


def serve(url: str, folder: Path, life: int) -> None:
    """Give slots their turn until all have had it, or until so many steps are done."""
    schedules = opened(url, folder)
    occurring, store = Occurring(schedules), schedules.batch.broker.edges.store
    left = [life]

    def step(*_: object) -> None:
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    engine, link = store._database._engine, os.link
    for event in ("before_cursor_execute", "commit"):
        sa.event.listen(engine, event, step)

    def linked(source: Any, target: Any) -> None:
        step()
        link(source, target)
        step()

    os.link = linked  # type: ignore[assignment]
    while (now := min(x.next_at or END for x in schedules.list())) < END:
        schedules.batch.mover.clock = lambda now=now: now  # type: ignore[misc]
        occurring.tick()


def main(url: str, folder: Path, seed: int) -> None:
    """Fork services, two at a time, until one of them lives to the end."""
    luck, deaths = Random(seed), 0
    for _ in range(400):
        children = []
        for _ in range(2):
            life = luck.randrange(5, 60)
            child = os.fork()
            if not child:
                serve(url, folder, life)
                os._exit(0)
            children.append(child)
        ends = [os.waitstatus_to_exitcode(os.waitpid(x, 0)[1]) for x in children]
        deaths += ends.count(-signal.SIGKILL)
        assert set(ends) <= {0, -signal.SIGKILL}, ends
        if 0 in ends:
            print(deaths)
            return
    raise AssertionError("they never came to the end")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
