"""Ask → granted with a free slice, for 16 clients at once, through SQLite; and the store's weight.

    .venv/bin/python -m tests.bench.store [--clients 16] [--count 100] [--pause 1 0.1 0]

Each client asks, gives its slice back and rests for about `pause` seconds; a tick beside them sees
the slices come free. Without a rest all the time goes to the others' asks: that shows how many a
second there can be. The second part is one store with 7,000 slices and 10,000 requests in the line.
Wall-clock figures of a machine that others use too: look at `uptime` first. "Stolen" is the share
of the processors' time that a virtual machine's host gave to others meanwhile.
"""

import argparse
import logging
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from hub.broker import Broker
from hub.core.lease import Kind, Lease, Limits, Stage, check
from hub.edge.gpu import Simulated
from hub.edge.homes import Homes
from hub.edge.store import Store
from hub.edges import Edges
from tests.edge.store_facts import NOW, cards, put, request
from tests.face.running import PaperEngine, PaperFirewall, PaperHubApi, settings_for

CARDS = 8
SLICES, WAITING = 7_000, 10_000


@contextmanager
def floor(folder: Path) -> Iterator[Broker]:
    """A broker with 56 slices on simulated cards; Docker stands on paper."""
    card = "A100-40:" + ",".join(["1g.5gb"] * 7)
    settings = settings_for(folder, simulated=(card,) * CARDS)
    store = Store(settings.database_url, limits=Limits(settle=timedelta(0)))
    store.upgrade()
    gpus = Simulated(settings.simulated_dir / "madang.json", "node1", settings.simulated)
    paper: dict[str, Any] = {
        "engine": PaperEngine(), "hub": PaperHubApi(), "firewall": PaperFirewall(),
    }
    broker = Broker(settings, Edges(store=store, gpus=gpus, homes=Homes(settings), **paper))
    broker.tick()
    yield broker
    check(store.read())
    store.close()


@contextmanager
def ticking(broker: Broker, every: float) -> Iterator[None]:
    """The tick in a thread, as the service has it."""
    over = threading.Event()

    def loop() -> None:
        while not over.wait(every):
            broker.tick()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def client(broker: Broker, name: str, count: int, pause: float) -> list[float]:
    """Seconds of each ask that was granted at once."""
    image = next(iter(broker.settings.images))
    luck, took = random.Random(name), []
    time.sleep(luck.uniform(0, pause))
    for _ in range(count):
        began = time.perf_counter()
        lease = broker.ask(user=name, kind=Kind.SERVER, name="", profile="1g.5gb", image=image)
        if lease.stage is Stage.GRANTED:
            took.append(time.perf_counter() - began)
        broker.withdraw(lease.id, "given back")
        time.sleep(pause * luck.uniform(0.5, 1.5))
    return took


def asking(folder: Path, clients: int, count: int, pause: float) -> None:
    """Measure and print what `clients` wait for a slice that is free."""
    with floor(folder) as broker, ticking(broker, 0.1), ThreadPoolExecutor(clients) as pool:
        began, before = time.perf_counter(), processors()
        each = pool.map(lambda i: client(broker, f"u{i}", count, pause), range(clients))
        took = [x for some in each for x in some]
        rate = clients * count / (time.perf_counter() - began)
    stolen = 100 * (processors()[0] - before[0]) / max(1, processors()[1] - before[1])
    show(f"{clients} clients, pause {pause} s, {rate:.0f} asks/s, {stolen:.0f} % stolen", took)
    if len(took) < clients * count:
        print(f"   {clients * count - len(took)} asks found no free slice")


def filled(url: str) -> Store:
    """A store with many slices and a long line."""
    store = Store(url)
    store.upgrade()
    line = [Lease(request(f"r{i:06}", options={"image": "x"})) for i in range(WAITING)]
    put(store, slices={x.key: x for x in cards(SLICES)}, leases={x.id: x for x in line})
    return store


def give(store: Store, number: int) -> None:
    """Write one grant."""
    state = store.read()
    lease, key = state.leases[f"r{number:06}"], list(state.slices)[number]
    given = replace(lease, stage=Stage.GRANTED, slice=key, granted_at=NOW)
    put(store, leases={**state.leases, lease.id: given})


def weight(folder: Path) -> None:
    """Measure and print what one store with many slices and a long line takes."""
    url = f"sqlite:///{folder / 'madang.sqlite'}"
    store, other, looks = filled(url), Store(url), iter(range(1, 100))

    def look() -> None:
        put(store, slices={x.key: x for x in cards(SLICES, used_mib=next(looks))})

    given = iter(range(SLICES))
    print(f"{SLICES} slices, {WAITING} waiting")
    show("first read of a process", [clocked(Store(url).read) for _ in range(5)])
    show("read, nothing new", [clocked(store.read) for _ in range(50)])
    show("write of nothing", [clocked(put, store) for _ in range(50)])
    show("write of one grant", [clocked(give, store, next(given)) for _ in range(50)])
    other.read()
    show("read after another's grant", [
        clocked(other.read) for _ in range(30) if give(store, next(given)) is None
    ])
    show("write of all slices, changed", [clocked(look) for _ in range(9)])
    other.read()
    show("read after another's changed slices", [
        clocked(other.read) for _ in range(9) if look() is None
    ])
    store.close()
    other.close()


def processors() -> tuple[int, int]:
    """(stolen, all of it): the processors' time until now, in ticks; see proc_stat(5)."""
    times = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return times[7], sum(times)


def clocked(what: Callable[..., object], *args: object) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    what(*args)
    return time.perf_counter() - began


def show(what: str, took: list[float]) -> None:
    """One line: the median, and how bad the worst in a hundred is."""
    ordered = sorted(took)
    high = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    print(f"{what:50s} p50 {statistics.median(ordered) * 1e3:8.2f} ms  p99 {high * 1e3:8.2f} ms"
          f"  n={len(ordered)}", flush=True)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--clients", type=int, default=16)
    options.add_argument("--count", type=int, default=100)
    options.add_argument("--pause", type=float, nargs="+", default=[1.0, 0.1, 0.0])
    given = options.parse_args()
    logging.disable()
    for pause in given.pause:
        with tempfile.TemporaryDirectory() as name:
            asking(Path(name), given.clients, given.count, pause)
    with tempfile.TemporaryDirectory() as name:
        weight(Path(name))


if __name__ == "__main__":
    main()
