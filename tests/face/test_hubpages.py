"""The hub's page of a server that was stopped in order: Lab's "Why?" leads there."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.core.lease import Kind
from hub.face import hubpages, lastwords
from hub.face.container import name_of
from tests.floor.floors import Floor, floor_at


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    with floor_at(tmp_path) as made:
        yield made


def stopped(floor: Floor, cause: str = "stopped", **later: float) -> None:
    settings = floor.broker.settings
    lastwords.keep(settings.data, name_of(settings.name, "ana", ""), lastwords.LastWords(
        datetime.now(UTC) + timedelta(**later), cause, 0))


def told(floor: Floor, language: str = "en") -> str:
    why = hubpages.template_vars(floor.broker.settings, floor.broker)["why_ended"](None)
    return str(why("ana", "", language))


def held(floor: Floor) -> str:
    return floor.broker.ask(
        user="ana", kind=Kind.SERVER, name="", profile="3g.20gb", image="madang/notebook:latest"
    ).id


def test_a_server_on_a_slice_was_stopped_by_hand(floor: Floor) -> None:
    floor.broker.withdraw(held(floor), "stopped")
    stopped(floor)
    said = told(floor)
    assert "was stopped by hand at <time" in said
    assert "minutes" not in said
    assert "수동으로 중지" in told(floor, "ko")


def test_one_without_a_slice_may_have_been_idle(floor: Floor) -> None:
    floor.broker.settings = floor.broker.settings.model_copy(update={"cpu_idle": 1800})
    stopped(floor)
    assert "nothing had happened on it for 30 minutes" in told(floor)
    # also after a slice of an earlier day
    floor.broker.withdraw(held(floor), "stopped")
    stopped(floor, hours=1)
    assert "30 minutes" in told(floor)


def test_one_that_is_never_stopped_for_idleness_was_stopped_by_hand(floor: Floor) -> None:
    floor.broker.settings = floor.broker.settings.model_copy(update={"cpu_idle": 0})
    stopped(floor)
    assert "by hand at" in told(floor)


def test_a_start_that_was_cancelled_needs_no_word(floor: Floor) -> None:
    stopped(floor, "cancelled")
    assert told(floor) == ""


def test_another_end_counts_before_the_stop_that_followed_it(floor: Floor) -> None:
    floor.broker.end(held(floor), "teacher", "the exam begins")
    stopped(floor)
    assert "ended by teacher: the exam begins" in told(floor)
