"""What fairness is told, in the store: groups, use, reservations, and what a lease is promised."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from hub.core.lease import Lease, Stage, State
from hub.core.nouns import Notice, Why
from hub.core.rules import Group, House, Reservation, Rules, Span, Usage, Weekly
from hub.edge import schema
from hub.edge.database import Database
from hub.edge.store import Store
from tests.edge.store_facts import NOW, cards, put, request, statements

HOUR = timedelta(hours=1)
WEEKLY = Reservation(
    "w", "인공지능", "3g.20gb", 2,
    Weekly((0, 2), time(10), time(12, 30), date(2026, 3, 2), date(2026, 6, 30)), "Asia/Seoul",
    "teacher", NOW, "실습",
)
SPAN = Reservation(
    "s", "ml", "1g.5gb", 1, Span(datetime(2026, 3, 7, 9), datetime(2026, 3, 8, 18, 30, 1)), "UTC",  # noqa: DTZ001 - local time
)
EVER = replace(WEEKLY, id="e", when=replace(WEEKLY.when, last=None, end=time(0)), made_at=None)


def house(store: Store, **parts: Any) -> House:
    """The house after these parts were written, as another process reads it."""
    with store.write() as unit:
        unit.state = replace(unit.state, house=replace(unit.state.house, **parts))
    other = Store(store._database._engine.url.render_as_string(hide_password=False))
    found = other.read().house
    other.close()
    assert found == store.read().house
    return found


def test_rules_are_the_settings_own(url: str) -> None:
    rules = Rules(min_hold=HOUR * 2, zone="Asia/Seoul")
    store = Store(url, rules=rules)
    store.upgrade()
    assert store.read().house == House(rules)
    with store.write() as unit:
        unit.state = replace(unit.state, house=replace(unit.state.house, rules=Rules()))
    assert store.read().house == House(rules), "they are not in the store"
    store.close()


def test_groups_are_made_changed_and_removed(store: Store) -> None:
    plain, full = Group("ml"), Group("인공지능", 2.5, 100.0, 10.5, date(2026, 12, 31))
    groups = {x.name: x for x in (plain, full)}
    assert house(store, groups=groups).groups == groups
    changed = groups | {"ml": replace(plain, weight=3.0), "인공지능": replace(full, ends=None)}
    assert house(store, groups=changed).groups == changed
    assert house(store, groups={"ml": plain}).groups == {"ml": plain}
    assert house(store, groups={}).groups == {}


def test_reservations_keep_local_time(store: Store) -> None:
    made = {x.id: x for x in (WEEKLY, SPAN, EVER)}
    back = house(store, reservations=made).reservations
    assert back == made
    assert isinstance(back["s"].when, Span)
    assert back["s"].when.begins.tzinfo is None
    later = made | {"w": replace(WEEKLY, count=3, note="")}
    assert house(store, reservations=later).reservations == later
    assert house(store, reservations={"s": SPAN}).reservations == {"s": SPAN}


def test_a_span_with_a_zone_is_refused(store: Store) -> None:
    wrong = replace(SPAN, when=Span(NOW, NOW + HOUR))
    with pytest.raises(ValueError, match="without a zone"):
        house(store, reservations={"s": wrong})
    assert store.read() == State()


def test_use_is_kept_by_group_and_user(store: Store) -> None:
    seoul = timezone(timedelta(hours=9))
    used = {
        ("ml", "ana"): Usage(1.25, NOW, 0.5, NOW - HOUR), ("", "ana"): Usage(3, NOW),
        ("인공지능", "bo"): Usage(1e-9, NOW.astimezone(seoul), 0.1, NOW.astimezone(seoul)),
    }
    back = house(store, usage=used).usage
    assert back == used
    assert back["인공지능", "bo"].at.tzinfo is UTC
    more = used | {("ml", "ana"): Usage(2.0, NOW + HOUR, 1.0, None)}
    assert house(store, usage=more).usage == more
    assert house(store, usage={("", "ana"): used["", "ana"]}).usage == {("", "ana"): Usage(3, NOW)}


def test_only_whose_use_changed_is_written(store: Store) -> None:
    used = {("ml", f"u{i}"): Usage(1.0, NOW) for i in range(50)}
    house(store, usage=used)
    with statements(store) as said, store.write() as unit:
        more = used | {("ml", "u7"): Usage(2.0, NOW)}
        unit.state = replace(unit.state, house=replace(unit.state.house, usage=more))
    assert [x.split()[:2] for x in said] == [
        ["SELECT", "version.number,"], ["UPDATE", "usage"], ["UPDATE", "version"]
    ]


def test_what_a_lease_is_promised_comes_back(store: Store) -> None:
    key = cards(1)[0].key
    notice = Notice(Why.IDLE, NOW, NOW + HOUR)
    full = Lease(
        request("a", member_of=("ml", "둘")), Stage.DRAINING, key, NOW, NOW, NOW, None,
        NOW + 3 * HOUR, "말\0", NOW + HOUR, 3.5, "w", NOW, NOW, notice, Why.HAND,
        (NOW, NOW + HOUR), "인공지능",
    )
    put(store, leases={"a": full})
    again = replace(full, cause="말\ufffd")
    assert store.read().leases == {"a": again}
    assert store.lease("a") == again
    put(store, leases={"a": replace(again, notice=None, why=None, eta=None)})
    assert store.lease("a") == replace(again, notice=None, why=None, eta=None)


def test_a_blocked_slice_stays_blocked(store: Store, url: str) -> None:
    one, two = cards(2)
    put(store, slices={one.key: replace(one, blocked="과열\0"), two.key: two})
    other = Store(url)
    for state in (store.read(), other.read()):
        assert state.slices[one.key].blocked == "과열\ufffd"
        assert state.free() == [two]
    put(other, slices={one.key: one, two.key: two})
    assert store.read().free() == [one, two]
    other.close()


# ---- the past ------------------------------------------------------------------------------------


def held(id: str, begin: float, end: float | None, **rest: Any) -> Lease:
    """A lease that held from `begin` to `end`, hours from NOW."""
    over = end is not None
    return Lease(
        request(id, **rest), Stage.RELEASED if over else Stage.RUNNING, None,
        NOW + begin * HOUR, NOW + begin * HOUR, NOW + end * HOUR if end is not None else None,
        NOW + end * HOUR if end is not None else None,
    )


def test_leases_between_two_moments(store: Store) -> None:
    found = [
        held("early", -5, -2), held("into", -3, 1), held("inside", 0.5, 0.6), held("on", 1, None),
        held("late", 2, 3), held("over", -4, 5, user="kim"), held("still", -9, None),
    ]
    waits = Lease(request("waits"))
    put(store, leases={x.id: x for x in (*found, waits)})
    between = store.leases_between(NOW, NOW + 2 * HOUR)
    assert [x.id for x in between] == ["still", "over", "into", "inside", "on"]
    assert [x.id for x in store.leases_between(NOW, NOW + HOUR, user="kim")] == ["over"]
    assert store.leases_between(NOW - 20 * HOUR, NOW - 10 * HOUR) == []


# ---- from the schema of the spine ----------------------------------------------------------------

SPINE = """
INSERT INTO slices VALUES ('node', 'GPU-0', '3g.20gb', 4, 'MIG-0', 'A100', 0, 3, 4, 19968, NULL,
 '[]', {true});
INSERT INTO slices VALUES ('node', 'GPU-0', '1g.5gb', 0, 'MIG-1', 'A100', 0, 1, 1, 4864, NULL,
 '[]', {true});
INSERT INTO leases VALUES ('run', 'ana', 'server', '', '3g.20gb', 'i', '{at}', 'ml', '{{"a": 1}}',
 'running', 'node', 'GPU-0', '3g.20gb', 4, '{at}', '{at}', NULL, NULL, NULL, '');
INSERT INTO leases VALUES ('old', 'bo', 'run', 'x', '1g.5gb', 'i', '{at}', '', '{{}}',
 'released', 'node', 'GPU-0', '1g.5gb', 0, '{at}', '{at}', '{at}', '{at}', NULL, 'stopped');
INSERT INTO leases VALUES ('gone', 'bo', 'run', 'y', '2g.10gb', 'i', '{at}', '', '{{}}',
 'released', 'node', 'GPU-9', '2g.10gb', 0, '{at}', '{at}', '{at}', '{at}', NULL, 'stopped');
INSERT INTO leases VALUES ('wait', 'bo', 'server', '', '2g.10gb', 'i', '{at}', '', '{{}}',
 'waiting', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '');
INSERT INTO members VALUES ('ana', 'ml', 'student')
"""


def test_the_spines_leases_go_on(store: Store, url: str) -> None:
    """What 0001 wrote is read by 0002, with the rate of each slice that is still known."""
    make_spine(url)
    assert not store.current()
    store.upgrade()
    assert store.current()
    state = store.read()
    assert set(state.leases) == {"run", "wait"}
    lease = state.leases["run"]
    assert (lease.rate, lease.request.member_of, lease.promised) == (3.5, (), None)
    assert lease.request.options == {"a": 1}
    assert lease.started_at == NOW
    assert {x.id: x.rate for x in store.leases()} == {
        "run": 3.5, "old": 1.0, "gone": 0.0, "wait": 0.0
    }
    assert {x.blocked for x in state.slices.values()} == {""}
    assert [x.name for x in store.members()] == ["ana"]
    put(store, leases={**state.leases, "run": replace(lease, promised=NOW)})
    assert store.lease("run") == replace(lease, promised=NOW)


LINE = """
INSERT INTO reservations (id, "group", profile, count, zone, kind, made_by, note)
 VALUES ('r', 'vision', '1g.5gb', 1, 'UTC', 'span', '', '');
UPDATE leases SET reservation = 'r' WHERE id IN ('old', 'wait');
UPDATE leases SET reservation = 'no more' WHERE id = 'run'
"""


def test_what_was_used_in_reserved_hours_stays_the_reserving_groups(
    store: Store, url: str
) -> None:
    """What 0002 wrote: the group of each lease that was ever given a slice is kept by 0003."""
    make_spine(url, LINE)
    assert not store.current()
    store.upgrade()
    assert {x.id: x.charged for x in store.leases()} == {
        "run": "ml", "old": "vision", "gone": "", "wait": "",
    }


def make_spine(url: str, line: str = "") -> None:
    """Make the database anew, as the first version had it; or the second, with these lines."""
    database = Database(url)
    config = Config()
    config.set_main_option("script_location", str(schema._MIGRATIONS))
    lite = database.file is not None
    at = NOW.replace(tzinfo=None).isoformat(" ") if lite else NOW.isoformat()
    with database.begin(write=True) as c:
        for table in sa.inspect(c).get_table_names():
            c.exec_driver_sql(f'DROP TABLE "{table}"')
        config.attributes["connection"] = c
        command.upgrade(config, "0001")
        text = SPINE.format(at=at, true=1 if lite else "true")
        for one in text.split(";"):
            c.exec_driver_sql(one)
        if line:
            command.upgrade(config, "0002")
            for one in line.split(";"):
                c.exec_driver_sql(one)
    database.close()
