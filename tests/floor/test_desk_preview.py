"""What somebody reads who only asks whether a reservation would fit."""

from datetime import UTC, datetime, timedelta

import pytest

from hub.core.reserving import Wanted
from hub.core.roster import parse
from hub.desk import Desk, key_text
from hub.errors import BadInput
from hub.face import words
from tests.floor.floors import Floor

SMALL = "1g.5gb"
ROSTER = "name,group,role\nana,ml,student\n"


@pytest.fixture
def desk(floor: Floor) -> Desk:
    floor.broker.set_members(parse(ROSTER, "roster"))
    return Desk(floor.broker)


def wanted(count: int, profile: str = SMALL, zone: str = "UTC") -> Wanted:
    begins = datetime.now(UTC) + timedelta(days=1)
    return Wanted(
        "ml", profile, count, zone, begins=f"{begins:%Y-%m-%dT%H:%M}",
        ends=f"{begins + timedelta(hours=2):%Y-%m-%dT%H:%M}",
    )


def said(desk: Desk, wish: Wanted, *, dry_run: bool = True, language: str = "en") -> str:
    with pytest.raises(BadInput) as caught:
        desk.reserve(wish, "teacher", dry_run=dry_run)
    assert (caught.value.reason, caught.value.status) == ("reservation", 400)
    return words.refusal(language, caught.value)


def test_a_check_does_not_say_that_nothing_was_reserved(desk: Desk) -> None:
    none = "0 slices cannot be reserved: the fewest are 1."
    assert said(desk, wanted(0)) == none
    assert said(desk, wanted(0), dry_run=False) == f"Nothing was reserved. {none}"
    assert said(desk, wanted(0), language="ko").startswith("슬라이스 0개는")
    assert said(desk, wanted(1, zone="Mars")).startswith("There is no time zone")
    assert said(desk, wanted(0, "9g.90gb")).endswith(none), "all problems at once"


def test_slices_out_of_use_explain_a_count(floor: Floor, desk: Desk) -> None:
    keys = [k for k in floor.broker.state().slices if k.profile == SMALL]
    there = len(keys)
    desk.reserve(wanted(there), "teacher", dry_run=True)
    desk.block(key_text(keys[0]), "ECC errors", "operator")
    assert said(desk, wanted(there)) == (
        f"{there} slices of {SMALL} cannot be reserved: there are {there}, of which 1 out of use."
    )
    assert "1개는 사용 중단" in said(desk, wanted(there), language="ko")
    desk.reserve(wanted(there - 1), "teacher", dry_run=True)
    for key in keys:
        desk.block(key_text(key), "ECC errors", "operator")
    # not: that no card here is cut so
    assert f"of which {there} out of use" in said(desk, wanted(1))
