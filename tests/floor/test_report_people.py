"""Whom a morning's reports are for: the same as the whole house's report names, read cheaply."""

from dataclasses import replace
from datetime import timedelta

from hub.core.runs import Run, RunStage
from hub.edge.aside import Aside
from hub.mornings import Mornings
from hub.reports import Reports
from tests.floor.test_schedules import Nights
from tests.floor.test_unrun import clock_of, gone, nights, there  # noqa: F401 - fixtures


def test_whose_runs_ended_whose_sweep_did_and_whose_night_did_not_run(
    nights: Nights,  # noqa: F811 - the fixture
) -> None:
    nights.add()
    gone(nights)
    nights.at("2026-11-24T02:00")
    clock = clock_of(nights)
    now = clock()
    run = Run(
        id="a", user="alone", notebook="n", profile="1g.5gb", image="i", parameters={},
        stage=RunStage.FAILED, asked_at=now, folder="f", ended_at=now - timedelta(hours=1),
    )
    with nights.floor.broker.edges.store.write() as unit:
        unit.put_run(run)
        unit.put_run(replace(run, id="b", user="swept", sweep="s"))
        unit.put_run(replace(run, id="c", user="open", stage=RunStage.WAITING))
        unit.put_run(replace(run, id="d", user="old", ended_at=now - timedelta(days=9)))
        unit.put_run(replace(run, id="e", user="later", ended_at=now))
    reports = Reports(nights.floor.batch, Aside(), clock)
    try:
        since = now - timedelta(days=1)
        people = reports.people(since, now)
        assert people == reports.between(None, since, now).people == {"alone", "swept", "ana"}
        for user in people:
            nights.floor.broker.edges.homes.ensure(user)
        written: list[str] = []
        mornings = Mornings(reports, lambda _, user: written.append(user) or b"x", clock)
        assert mornings.look() == 3
        assert set(written) == people
    finally:
        reports.close()
