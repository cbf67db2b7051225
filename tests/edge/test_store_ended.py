from datetime import timedelta

import pytest

from hub.core.runs import RunStage
from hub.edge.store import Store
from tests.edge.store_facts import NOW, run, statements

HOUR = timedelta(hours=1)


def test_who_ended_is_told_of_a_span_without_what_goes_on_or_tries_again(store: Store) -> None:
    ended = RunStage.SUCCEEDED
    with store.write() as unit:
        for i, (user, stage, at) in enumerate((
            ("first", ended, NOW), ("again", ended, NOW), ("again", RunStage.LOST, NOW),
            ("early", ended, NOW - HOUR), ("until", ended, NOW + HOUR),
            ("waits", RunStage.WAITING, NOW), ("new", RunStage.WAITING, None),
        )):
            unit.put_run(run(str(i), user=user, stage=stage, ended_at=at))
    assert store.who_ended(NOW, NOW + HOUR) == {"first", "again"}
    assert store.who_ended(NOW + 2 * HOUR, NOW + 3 * HOUR) == set()


def test_who_ended_is_found_by_the_time_alone(store: Store) -> None:
    if store._file is None:
        pytest.skip("PostgreSQL plans by what is in the table")
    with statements(store) as said:
        store.who_ended(NOW, NOW + HOUR)
        store.runs(user=None, limit=9, ended_since=NOW)
    asked = [x for x in said if x.startswith("SELECT")]
    assert len(asked) == 2
    with store._database.begin() as c:
        for one in asked:
            values = (NOW.isoformat(),) * one.count("?")
            plan = c.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}", values).all()
            assert "runs_by_end" in str(plan), one
