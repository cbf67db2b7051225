"""A sweep of 500 points submitted, and 10,000 runs listed: over HTTP, and the store alone.

    .venv/bin/python -m tests.bench.runs [--points 500] [--runs 10000] [--times 5]

The service of the tests (real store on SQLite, real uvicorn, its tick beside it; Docker on paper).
The notebook of the sweep has 1 MB. Wall-clock figures of a machine that others use too: look at
`uptime` first.
"""

import argparse
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hub.core.runs import Run, RunStage
from tests.face.running import NOTEBOOK, Running, running

NOW = datetime.now(UTC)


def book() -> dict[str, Any]:
    """A notebook of 1 MB."""
    text = {"cell_type": "markdown", "id": "t", "metadata": {}, "source": "x" * 1_000_000}
    return NOTEBOOK | {"cells": [*NOTEBOOK["cells"], text]}


def ended(count: int) -> list[Run]:
    """Runs of one person as they are after many nights, each with figures and a message."""
    one = Run(
        id="", user="ana", notebook="study.ipynb", profile="1g.5gb",
        image="madang/notebook:latest", parameters={"lr": 0.01, "seed": 3, "epochs": 20},
        stage=RunStage.SUCCEEDED, asked_at=NOW, folder="", started_at=NOW, ended_at=NOW,
        exit_code=0, cells_done=12, cells=12, message="12 cells", slice="node1/GPU/1g.5gb/0",
        commit="0" * 40, seed=3, lined_at=NOW, digest="sha256:" + "0" * 64, memory_peak_mib=900,
        metrics={"loss": 0.1234, "accuracy": 0.987, "best": {"epoch": 17}}, steps=20, steps_done=20,
    )
    return [
        replace(one, id=f"{i:010x}", folder=f"runs/{i}", asked_at=NOW + i * timedelta(seconds=1))
        for i in range(count)
    ]


def timed(times: int, work: Callable[[], object]) -> str:
    """Median and worst of some times, and the first of all, when nothing is known yet."""
    took = []
    for _ in range(times + 1):
        began = time.perf_counter()
        work()
        took.append(1000 * (time.perf_counter() - began))
    first, *later = took
    median, worst = statistics.median(later), max(later)
    return f"{median:8.0f} ms   worst {worst:6.0f} ms   first {first:6.0f} ms"


def sweeps(service: Running, points: int, times: int) -> None:
    """Submitted, the first of it in the line, listed, cancelled."""
    body = {
        "notebook_name": "study.ipynb", "notebook": book(), "profile": "1g.5gb",
        "sweep": {"epochs": list(range(points))},
    }
    with service.client("t-ana") as http:
        made: list[str] = []

        def submit() -> None:
            answer = http.post("api/sweeps", json=body)
            answer.raise_for_status()
            made.append(answer.json()["id"])

        print(f"submit a sweep of {points} points  {timed(times, submit)}")
        look = f"api/sweeps/{made[0]}"
        print(f"look at it                     {timed(times, lambda: http.get(look).content)}")
        print(f"list the sweeps                {timed(times, lambda: http.get('api/sweeps'))}")
        began = time.perf_counter()
        for id in made:
            http.delete(f"api/sweeps/{id}").raise_for_status()
        each = 1000 * (time.perf_counter() - began) / len(made)
        print(f"cancel it                      {each:8.0f} ms")


def lists(service: Running, count: int, times: int) -> None:
    """Many runs of one person, as JSON and as the store gives them."""
    store = service.broker.edges.store
    with store.write() as unit:
        for run in ended(count):
            unit.put_run(run)
    print(f"the store, {count} runs          "
          f"{timed(times, lambda: store.runs(user='ana', limit=count))}")
    with service.client("t-ana") as http:
        for limit in (100, 1000, count):
            path = f"api/runs?limit={limit}"
            took = timed(times, lambda path=path: http.get(path).content)
            size = len(http.get(path).content) >> 10
            print(f"list {limit:6d} of them           {took}   {size} KiB")


def main() -> None:
    """Print the figures."""
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--points", type=int, default=500)
    given.add_argument("--runs", type=int, default=10_000)
    given.add_argument("--times", type=int, default=5)
    chosen = given.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder, running(
        Path(folder), notebook_mib=4, runs_open=100_000, tick=2
    ) as service:
        sweeps(service, chosen.points, chosen.times)
        lists(service, chosen.runs, chosen.times)


if __name__ == "__main__":
    main()
