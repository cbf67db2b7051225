"""A process beside the test's own, on the same database: `store_worker.py VERB URL …`."""

import resource
import sys
import time
from datetime import UTC, datetime

import sqlalchemy as sa

from hub.core import policy
from hub.core.lease import Asked, Kind, Request, step
from hub.edge.store import Store, Unit
from hub.errors import Unavailable

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def ask_for(unit: Unit, id: str, *, now: datetime = NOW) -> None:
    """What the broker does: ask, then let the policy give."""
    asked = Asked(Request(id, id, Kind.SERVER, "", "1g.5gb", "image", now))
    state, _ = step(unit.state, asked, now)
    for given in policy.grants(state, now):
        state, _ = step(state, given, now)
    unit.state = state


def ask(store: Store, name: str, count: str) -> None:
    """Ask `count` times under different names, as fast as it goes."""
    for i in range(int(count)):
        with store.write() as unit:
            ask_for(unit, f"{name}-{i}")


def hang(store: Store) -> None:
    """Write everything, and stop right before the commit, for ever."""
    def stop(_: sa.Connection) -> None:
        print("written", flush=True)
        time.sleep(600)

    with store.write() as unit:
        ask_for(unit, "doomed")
        sa.event.listen(store._database._engine, "commit", stop)


def upgrade(store: Store) -> None:
    """Make the schema."""
    store.upgrade()


def fill(store: Store) -> None:
    """Write under a limit on the size of files until it is reached; then again without it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    done = 0
    try:
        for done in range(100_000):
            with store.write() as unit:
                ask_for(unit, f"full-{done}")
    except Unavailable as e:
        print(done, e.reason, e.message)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    print(len(store.leases(limit=100_000)))


if __name__ == "__main__":
    opened = Store(sys.argv[2])
    {"ask": ask, "hang": hang, "upgrade": upgrade, "fill": fill}[sys.argv[1]](opened, *sys.argv[3:])
    opened.close()
