"""What the desk does not let happen by mistake, and a machine that has forgotten a time zone."""

import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from hub.core.lease import Stage
from hub.core.rules import Group
from hub.desk import Desk
from hub.errors import BadInput, NotFound
from tests.floor.desks import Clock, ask, wanted
from tests.floor.floors import Floor


def test_a_name_that_nobody_knows_makes_no_group(desk: Desk) -> None:
    with pytest.raises(NotFound) as refused:
        desk.set_group("vison", {"weight": 2}, "boss")
    assert all(x in refused.value.message for x in ("'vison'", "ml, vision", "--create"))
    assert [x.group.name for x in desk.groups()] == ["ml", "vision"]
    assert desk.set_group("nlp", {}, "boss", create=True).group == Group("nlp")
    assert desk.set_group("nlp", {"weight": 2}, "boss").group.weight == 2
    assert desk.set_group("ml", {"weight": 3}, "boss", create=True).group.weight == 3
    assert [x.group.name for x in desk.groups()] == ["ml", "nlp", "vision"]


def test_the_last_day_is_over_at_the_houses_midnight(desk: Desk, clock: Clock) -> None:
    today = clock.now.date()
    assert desk.set_group("ml", {"ends": today.isoformat()}, "boss").group.ends == today
    clock.passes(days=1)
    desk.set_group("ml", {"ends": today.isoformat(), "weight": 2}, "boss")  # as it was
    with pytest.raises(BadInput, match="is over"):
        desk.set_group("vision", {"ends": today.isoformat()}, "boss")


def test_one_whose_time_zone_is_known_no_more_is_kept_and_told_of_once(
    floor: Floor, desk: Desk, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    lost = replace(desk.reserve(wanted(clock, timedelta(0)), "teacher"), zone="Mars/Base")
    with floor.broker.edges.store.write() as unit:
        house = replace(unit.state.house, reservations={lost.id: lost})
        unit.state = replace(unit.state, house=house)
    assert ask(floor.broker, "ana").stage is Stage.GRANTED  # nothing is kept for it
    with caplog.at_level(logging.ERROR, "madang.lostzones"):
        floor.tick(3)
    (told,) = caplog.messages
    assert "Mars/Base" in told
    assert f"madang reserve remove {lost.id}" in told
    later = desk.reserve(wanted(clock, timedelta(hours=14)), "teacher")
    clock.passes(days=60)
    desk.reserve(wanted(clock), "teacher")  # what is long over is forgotten with this
    assert later.id not in floor.broker.state().house.reservations
    assert desk.reservations()[-1] == (lost, None)
    assert desk.hours("", 2)[0][0].id != lost.id
    assert desk.unreserve(lost.id, "teacher") == lost
