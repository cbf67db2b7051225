"""Random misfortune on the real engine: no slice is ever given twice, and nothing is forgotten.

The seed is printed; `CHAOS_SEED` repeats it, `CHAOS_SECONDS` says how long (40).
"""

import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import httpx
import pytest

from tests.dockerd import owns_dockerd, restart_dockerd
from tests.people import Person
from tests.workspace import (
    STUDENTS,
    Workspace,
    grouped,
    pinned_to,
    slice_of,
    wait_for,
    workspace,
)

SECONDS = float(os.environ.get("CHAOS_SECONDS", "40"))
SEED = int(os.environ.get("CHAOS_SEED", str(random.randrange(10**6))))
CARDS = json.dumps(["A100-40:3g.20gb,1g.5gb,1g.5gb"])
OPEN_RUNS = {"waiting", "starting", "running", "stopping"}
RUN = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {},
    "cells": [
        {
            "cell_type": "code",
            "id": "wait",
            "metadata": {},
            "outputs": [],
            "execution_count": None,
            "source": "import time\nfor i in range(20):\n    print(i)\n    time.sleep(0.5)",
        }
    ],
}


class Watch(threading.Thread):
    """Asks Docker all the time who is pinned to what; two on one slice is the failure."""

    def __init__(self, place: Workspace) -> None:
        super().__init__(daemon=True)
        self.place, self.looks = place, 0
        self.double: list[tuple[str, list[str]]] = []
        self.most = 0  # slices in use at once, in the look that saw the most
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.3):
            try:
                running = self.place.running()
            except (docker.errors.APIError, docker.errors.DockerException, OSError, ValueError):
                continue  # dockerd is down just now
            self.looks += 1
            # by Docker's pin and by our label: one of them wrong is a failure too
            for pinned in (grouped(running, pinned_to), grouped(running, slice_of)):
                self.most = max(self.most, len(pinned))
                self.double += [(u, names) for u, names in pinned.items() if len(names) > 1]


class Misfortune:
    """What can happen; each is tried by name, at random."""

    def __init__(self, place: Workspace, chance: random.Random) -> None:
        self.place, self.chance = place, chance
        self.people = {n: place.student(n) for n in STUDENTS[:5]}
        self.story: list[str] = []
        self.killed: set[str] = set()  # leases whose containers we killed
        self.dockerd_ended = False

    def _someone(self) -> Person:
        return self.people[self.chance.choice(list(self.people))]

    def start(self) -> None:
        self._someone().start(self.chance.choice(["1g.5gb", "1g.5gb", "3g.20gb"]))

    def stop(self) -> None:
        self._someone().stop()

    def submit(self) -> None:
        body = {
            "notebook_name": "chaos.ipynb",
            "notebook": RUN,
            "profile": "1g.5gb",
            "parameters": {},
            "user": self.chance.choice(STUDENTS),
        }
        self.place.rest("POST", "runs", json=body)

    def kill_hub(self) -> None:
        self.place.kill("jupyterhub")

    def kill_service(self) -> None:
        self.place.kill("hub.face.service")

    def kill_container(self) -> None:
        running = [c for c in self.place.containers() if c.status == "running"]
        if running:
            victim = self.chance.choice(running)
            self.killed.add(victim.labels["madang.lease"])
            victim.kill()

    def restart_dockerd(self) -> None:
        self.dockerd_ended = True
        restart_dockerd()

    def one(self) -> None:
        rest = [self.kill_hub, self.kill_service, self.kill_container]
        often = [self.start] * 8 + [self.stop] * 4 + [self.submit] * 3
        what = self.chance.choice(often + rest)
        self._try(what)

    def _try(self, what: Callable[[], None]) -> None:
        self.story.append(what.__name__)
        try:
            what()
        except (httpx.HTTPError, docker.errors.APIError, AssertionError) as e:
            # the hub is down, the container is gone: that is the weather here
            self.story.append(f"  {type(e).__name__}")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workspace]:
    with workspace(tmp_path, f"mt-chaos-{os.getpid()}", CARDS) as made:
        yield made


@pytest.mark.alone
@pytest.mark.timeout(900)
def test_nothing_is_given_twice_and_nothing_is_forgotten(place: Workspace) -> None:
    print(f"chaos seed {SEED}, {SECONDS:.0f} s")
    weather = Misfortune(place, random.Random(SEED))
    watch = Watch(place)
    watch.start()
    end = time.monotonic() + SECONDS
    dockerd_at = time.monotonic() + SECONDS / 2
    while time.monotonic() < end:
        weather.one()
        if owns_dockerd() and time.monotonic() > dockerd_at:
            weather._try(weather.restart_dockerd)
            dockerd_at = end + 1
        time.sleep(weather.chance.uniform(0.2, 2.5))
    place.wait_healthy()
    _everybody_goes_home(place, weather)
    watch.over.set()
    watch.join(10)
    print("\n".join(weather.story))
    assert watch.looks > SECONDS / 3, "the watch did not look"
    assert watch.most > 0, "the watch never saw a container on a slice"
    assert not watch.double, watch.double
    runs = place.rest("GET", "runs?limit=1000").json()
    lost = {x["id"]: x["message"] for x in runs if x["stage"] == "lost"}
    unexplained = {k: v for k, v in lost.items() if k not in weather.killed}
    assert weather.dockerd_ended or not unexplained, unexplained


def _everybody_goes_home(place: Workspace, weather: Misfortune) -> None:
    """After the storm each server stops, each run ends, and every slice is free again."""

    def quiet() -> bool:
        for person in weather.people.values():
            if person.server():
                person.stop()
        return not any(person.server() for person in weather.people.values())

    wait_for(quiet, timeout=120, every=1, why="every server stopped")
    for run in place.rest("GET", "runs").json():
        if run["stage"] in OPEN_RUNS:
            place.rest("DELETE", f"runs/{run['id']}")
    wait_for(
        lambda: not any(r["stage"] in OPEN_RUNS for r in place.rest("GET", "runs").json()),
        timeout=120,
        every=1,
        why="every run ended",
    )
    wait_for(
        lambda: {s["state"] for s in place.rest("GET", "slices").json()} == {"free"},
        timeout=90,
        every=1,
        why="every slice free: " + place.rest("GET", "slices").text,
    )
    assert place.rest("GET", "line").json() == []
    wait_for(lambda: not place.containers(), timeout=60, every=1, why="no container left")
