"""A process beside the test's own, on the same database: `store_worker.py VERB URL …`."""

import resource
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import sqlalchemy as sa

from hub.core import policy
from hub.core.lease import Asked, Kind, Lease, Request, Stage, State, step
from hub.core.mig import Slice, SliceKey
from hub.core.nouns import Notice, Why
from hub.core.roster import Member, Role
from hub.core.rules import Group, Usage
from hub.edge import states
from hub.edge.store import Store, Unit
from hub.errors import IllegalStep, Unavailable

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


def wander(store: Store, luck: Random, step: int, *, name: str = "") -> None:
    """One change of any kind, or a change that is taken back; `name` and `step` make new ids."""
    if luck.random() < 0.05:
        who = [Member(f"u{luck.randrange(9)}", "ml", Role.STUDENT)]
        return store.set_members(who)
    with store.write(alone=luck.random() < 0.3) as unit:
        change = luck.choice((_lease, _lease, _lease, _slices, _slices, _house, _house, _nothing))
        unit.state = change(unit.state, luck, f"{name}{step}")
        if luck.random() < 0.1:
            raise KeyError
        if luck.random() < 0.05:
            unit.state = replace(unit.state, leases={})
    return None


def _lease(state: State, luck: Random, id: str) -> State:
    changed = Lease(Request(id, id, Kind.SERVER, "", "1g.5gb", "image", NOW, options={"a": [1]}))
    if state.leases and luck.random() < 0.6:
        now = NOW + timedelta(seconds=luck.randrange(99))
        changed = replace(
            luck.choice(sorted(state.leases.values(), key=lambda x: x.id)), promised=now,
            stage=luck.choice([Stage.WAITING, Stage.WAITING, Stage.WITHDRAWN]),
            notice=luck.choice([None, Notice(Why.IDLE, now, now)]),
        )
    return replace(state, leases={**state.leases, changed.id: changed})


def _slices(state: State, luck: Random, _id: str) -> State:
    found = dict(state.slices)
    for i in luck.sample(range(8), 3):
        key = SliceKey("node", "GPU-0", "1g.5gb", i)
        if found.pop(key, None) is None or luck.random() < 0.8:
            used, why = luck.randrange(9), luck.choice(["", "", "hot"])
            found[key] = Slice(key, "u", "A100", 0, 1, 1, 4864, used, blocked=why)
    return replace(state, slices=found)


def _house(state: State, luck: Random, _id: str) -> State:
    house, group = state.house, f"g{luck.randrange(3)}"
    groups, usage = dict(house.groups), dict(house.usage)
    usage[group, f"u{luck.randrange(5)}"] = Usage(luck.random(), NOW, luck.random(), NOW)
    if luck.random() < 0.2 and groups.pop(group, None) is None:
        groups[group] = Group(group, luck.random() + 0.1)
    if luck.random() < 0.1:
        usage.pop(luck.choice(sorted(usage)))
    return replace(state, house=replace(house, groups=groups, usage=usage))


def _nothing(state: State, _luck: Random, _id: str) -> State:
    return replace(state, slices=dict(state.slices))


def compare(store: Store, url: str) -> None:
    """What is kept is what a store finds that keeps nothing; looked at while nobody wrote."""
    for _ in range(100):
        fresh = Store(url)
        before, kept, found, after = _version(store), store.read(), fresh.read(), _version(store)
        fresh.close()
        if before == after:
            assert kept == found, (kept, found)
            return


def _version(store: Store) -> object:
    with store._database.begin() as c:
        return states.version(c)


def walk(store: Store, seed: str, count: str) -> None:
    """Wander, and compare with what a store finds that keeps nothing."""
    luck = Random(int(seed))
    for i in range(int(count)):
        with suppress(KeyError, IllegalStep):
            wander(store, luck, i, name=f"p{seed}-")
        compare(store, sys.argv[2])


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
    verbs = {"ask": ask, "hang": hang, "upgrade": upgrade, "fill": fill, "walk": walk}
    verbs[sys.argv[1]](opened, *sys.argv[3:])
    opened.close()
