"""Broker and batch on a real store and simulated cards; Docker stands on paper."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hub.batch import Batch
from hub.broker import Broker
from hub.core.lease import Kind, Lease, Limits, Stage, check
from hub.core.runs import Run, RunStage, Submission
from hub.edge.gpu import Simulated
from hub.edge.homes import Homes
from hub.edge.store import Store
from hub.edges import Edges, rules_of
from tests.face.running import (
    NOTEBOOK,
    PaperEngine,
    PaperFirewall,
    PaperHubApi,
    settings_for,
    until,
)


@dataclass
class Floor:
    """Broker and batch on a real store and simulated cards; Docker stands on paper."""

    broker: Broker
    batch: Batch
    engine: PaperEngine

    def wanted(self, user: str = "ana", **rest: Any) -> Submission:
        wanted = {"name": "n.ipynb", "notebook": NOTEBOOK, "parameters": {}, "profile": "3g.20gb"}
        return Submission(user=user, **(wanted | rest))

    def submit(self, user: str = "ana", **rest: Any) -> Run:
        return self.batch.submit(self.wanted(user, **rest))

    def running(self, **rest: Any) -> Run:
        run = self.submit(**rest)
        self.batch.tick()
        until(lambda: self.stage(run) is RunStage.RUNNING, "it runs")
        self.broker.tick()
        return run

    def stage(self, run: Run) -> RunStage:
        return self.batch.get(run.id).stage

    def quiet(self) -> None:
        until(lambda: not self.batch.mover.errands.busy(), "nothing is under way")
        self.removed()

    def removed(self) -> None:
        """What the broker has sent to be removed is, or it failed."""
        until(lambda: not self.broker._stops._removals.errands.busy(), "nothing is being removed")

    def tick(self, times: int = 1) -> None:
        """Both parts of a tick, and what they send out is back."""
        for _ in range(times):
            self.broker.tick()
            self.removed()
            self.batch.tick()
            self.quiet()

    def server(self, user: str = "bo") -> Lease:
        """Somebody in front of a screen asks for the same size."""
        return self.broker.ask(
            user=user, kind=Kind.SERVER, name="", profile="3g.20gb", image="madang/notebook:latest"
        )

    def stage_of(self, lease: str) -> Stage:
        return self.broker.look(lease).lease.stage

    def free(self) -> int:
        return sum(s.key.profile == "3g.20gb" for s in self.broker.state().free())


@contextmanager
def floor_at(folder: Path, **changes: Any) -> Iterator[Floor]:
    """A floor with one 3g.20gb and two 1g.5gb; runs give way at once."""
    settings = settings_for(folder, **{"runs_open": 3, "run_hold": 0} | changes)
    limits = Limits(settle=timedelta(0), stop=timedelta(minutes=1))
    store = Store(settings.database_url, limits=limits, rules=rules_of(settings))
    store.upgrade()
    engine = PaperEngine()
    paper: dict[str, Any] = {"engine": engine, "hub": PaperHubApi(), "firewall": PaperFirewall()}
    gpus = Simulated(settings.simulated_dir / "madang.json", "node1", settings.simulated)
    broker = Broker(settings, Edges(store=store, gpus=gpus, homes=Homes(settings), **paper))
    broker.tick()
    made = Floor(broker, Batch(broker), engine)
    try:
        yield made
        check(store.read())
    finally:
        made.batch.close()
        broker.close()
        store.close()


class MovedClock:
    """The time of runs and schedules, which a test moves."""

    def __init__(self, floor: Floor) -> None:
        self.now = datetime.now(UTC)
        floor.batch.mover.clock = lambda: self.now

    def passes(self, **span: float) -> None:
        self.now += timedelta(**span)


def ends(floor: Floor, run: Run, code: int = 0) -> None:
    """Its container ends, and the tick sees it."""
    floor.tick(2)
    floor.engine.exit(floor.batch.get(run.id).lease_id, code)
    floor.tick()
