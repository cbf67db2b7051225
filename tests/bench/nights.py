"""What a night costs: Madang beside bare papermill in the same image, in turn, in one run.

    .venv/bin/python -m tests.bench.nights [--times 5] [--tiny 20] [--cells 300]

One run: from the REST call to the end that the store shows, beside `docker run … papermill`. Tiny
runs: a sweep on two slices, beside as many `docker run … papermill` one after the other. Cells: the
image's runner beside papermill and nbclient, each in a container of its own. Wall-clock figures of
a machine that others use too: look at `uptime` first, quote medians and ratios.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from tests.workspace import Workspace, wait_for, workspace

IMAGE = "madang/notebook:latest"
PAPERMILL = (
    "papermill", "--log-level", "ERROR", "--no-progress-bar", "/bench/in.ipynb", "/bench/out.ipynb",
)
NBCLIENT = ("jupyter", "execute", "/bench/in.ipynb", "--output=/bench/out.ipynb")
RUNNER = ("python", "-I", "-m", "madang.runner", "/bench/job.json")


def book(*sources: str) -> Any:
    """A notebook with a parameter and these cells."""
    given = new_code_cell("seed = 0", metadata={"tags": ["parameters"]})
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(
        cells=[given, *map(new_code_cell, sources)], metadata={"kernelspec": kernel}
    )


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def bare(folder: Path, command: tuple[str, ...]) -> None:
    """`docker run` of one command, with the folder of the bench."""
    subprocess.run(
        ["docker", "run", "--rm", "--network=none", f"--volume={folder}:/bench", IMAGE, *command],
        check=True, capture_output=True,
    )


def folder_for(notebook: Any, name: str) -> Path:
    """Where a container finds it and may write."""
    folder = Path(tempfile.mkdtemp(dir=name))
    folder.chmod(0o777)
    (folder / "in.ipynb").write_text(nbformat.writes(notebook))
    job = {"id": "r1", "notebook": "/bench/in.ipynb", "name": "lab", "folder": "runs/lab",
           "parameters": {}, "cwd": "", "timeout": 0, "kernel": None, "record": {}}
    (folder / "job.json").write_text(json.dumps(job))
    return folder


def submit(place: Workspace, notebook: Any, **more: Any) -> str:
    """The id of the run, or of the sweep."""
    body = {"notebook_name": "tiny.ipynb", "notebook": notebook, "profile": "1g.5gb",
            "user": "student1", **more}
    answer = place.rest("POST", "sweeps" if more else "runs", json=body)
    answer.raise_for_status()
    return str(answer.json()["id"])


def ends(place: Workspace, path: str, *, timeout: float, every: float = 0.05) -> None:
    """Wait for it; every run of it has succeeded."""

    def done() -> bool:
        found = place.rest("GET", path).json()
        stages = [x["stage"] for x in found.get("runs", [found])]
        bad = {"failed", "lost", "cancelled"} & set(stages)
        assert not bad, found
        return all(x == "succeeded" for x in stages)

    wait_for(done, timeout=timeout, every=every, why="the runs succeed")


def beside(name: str, ours: list[float], theirs: list[float], peer: str) -> None:
    """A line of the table."""
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"{name:24s} madang {a:6.2f} s   {peer} {b:6.2f} s   ratio {a / b:.2f}   (n={len(ours)})",
          flush=True)


def one(place: Workspace, folder: Path, times: int) -> None:
    """One run with its container."""
    notebook = json.loads((folder / "in.ipynb").read_text())

    def ours() -> None:
        ends(place, f"runs/{submit(place, notebook)}", timeout=120)

    ours(), bare(folder, PAPERMILL)  # warm both
    pairs = [(seconds(ours), seconds(lambda: bare(folder, PAPERMILL))) for _ in range(times)]
    beside("one run", [x for x, _ in pairs], [x for _, x in pairs], "docker run papermill")


def many(place: Workspace, folder: Path, count: int) -> None:
    """Tiny runs on two slices."""
    notebook = json.loads((folder / "in.ipynb").read_text())

    def ours() -> None:
        made = submit(place, notebook, sweep={"seed": list(range(count))})
        # a list of them twenty times a second would be a part of what is measured
        ends(place, f"sweeps/{made}", timeout=600, every=0.25)

    def theirs() -> None:
        for _ in range(count):
            bare(folder, PAPERMILL)

    beside(f"{count} tiny runs, 2 slices", [seconds(ours)], [seconds(theirs)],
           "docker run papermill")


def cells(folder: Path, times: int) -> None:
    """Many trivial cells."""
    took: dict[str, list[float]] = {"runner": [], "papermill": [], "nbclient": []}
    for _ in range(times):
        for name, command in (("runner", RUNNER), ("papermill", PAPERMILL), ("nbclient", NBCLIENT)):
            took[name].append(seconds(lambda command=command: bare(folder, command)))
    for name in ("papermill", "nbclient"):
        beside("trivial cells", took["runner"], took[name], name)


def main() -> None:
    """Measure and print."""
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--times", type=int, default=5)
    given.add_argument("--tiny", type=int, default=20)
    given.add_argument("--cells", type=int, default=300)
    chosen = given.parse_args()
    cards = json.dumps(["A100-40:1g.5gb,1g.5gb"])
    with tempfile.TemporaryDirectory() as name:
        tiny = folder_for(book("print(seed)"), name)
        long = folder_for(book(*(f"x = {i}" for i in range(chosen.cells))), name)
        print("load", os.getloadavg()[0])
        cells(long, chosen.times)
        with workspace(Path(name), f"mb-{os.getpid()}", cards) as place:
            one(place, tiny, chosen.times)
            many(place, tiny, chosen.tiny)


if __name__ == "__main__":
    main()
