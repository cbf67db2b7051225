"""An installation with one slice, on the real engine, in the real image; cards are simulated."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub import upkeep
from hub.batch import Batch
from hub.broker import Broker
from hub.config import Settings
from hub.core.runs import Run, Submission
from hub.edges import open_edges
from tests.edge.docker_fixtures import IMAGE, unique
from tests.face.running import until

SIZE = "1g.5gb"


@dataclass
class House:
    """One installation with one slice; the test does the ticks."""

    broker: Broker
    batch: Batch

    def submit(self, *cells: str, **more: Any) -> Run:
        return self.batch.submit(self.wanted(*cells, **more))

    def wanted(self, *cells: str, **more: Any) -> Submission:
        code: dict[str, Any] = {
            "cell_type": "code", "outputs": [], "execution_count": None,
        }
        book = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [
            {**code, "id": str(i), "metadata": {}, "source": x} for i, x in enumerate(cells)
        ]}
        return Submission("ana", "lab.ipynb", book, {}, SIZE, **more)

    def home(self) -> Path:
        return self.broker.edges.homes.ensure("ana")

    def until(self, what: Any, why: str) -> None:
        """Tick until `what()`; where it does not come, the log says more."""
        def done() -> bool:
            self.broker.tick()
            self.batch.tick()
            return bool(what())

        try:
            until(done, why, timeout=60)
        except AssertionError as e:
            said = [f"{x}\n{self.batch.logs(x.id).decode()}" for x in self.batch.list()]
            raise AssertionError(f"{e}\n" + "\n".join(said)) from e


@contextmanager
def house_at(folder: Path, **changes: Any) -> Iterator[House]:
    """A house; nothing of it is left on the machine."""
    settings = Settings(**{
        "name": unique(), "data": folder / "data", "simulated_dir": folder / "cards", "pin": "env",
        "gpus": "simulated", "simulated": (f"A100-40:{SIZE}",), "images": {IMAGE: "PyTorch"},
        "settle": 1, "disk_free_mib": 0, "memory_limit": "2G", "shm_size": "64M", "run_hold": 0,
    } | changes)
    edges = open_edges(settings)
    edges.store.upgrade()
    broker = Broker(settings, edges)
    broker.tick()
    batch = Batch(broker)
    try:
        yield House(broker, batch)
    finally:
        batch.close()
        upkeep.uninstall(settings)
        edges.store.close()
