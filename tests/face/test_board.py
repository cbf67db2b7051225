"""The board is put together of rows that were made once: each must see what they would alone."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from hub.core.forecast import places
from hub.core.groups import own_facts
from hub.core.hours import next_window
from hub.core.lease import Kind, Lease, Request, Stage, State, Why
from hub.core.mig import Slice, SliceKey
from hub.core.nouns import Notice
from hub.core.roster import parse
from hub.core.rules import House, Reservation, Weekly
from hub.core.sizes import offers
from hub.face.board import LiveOut, Seen
from hub.face.caller import Caller
from hub.face.views_desk import mine_out, reservation_out
from hub.face.views_line import Scene, leases_of, line_of, slices_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
PEOPLE = parse(
    "name,group,role\nana,ml,student\nbo,ml,student\ncho,vision,student\nteacher,ml,instructor\n"
    "operator,staff,operator\n", "roster",
)
CALLERS = {
    "a student who holds": Caller("ana", groups=("ml",)),
    "a student who waits": Caller("bo", groups=("ml",)),
    "a student of another group": Caller("cho", groups=("vision",)),
    "an instructor": Caller(
        "teacher", groups=("ml",), is_instructor=True, instructs=("ml",),
        teaches=frozenset({"ana", "bo"}),
    ),
    "an instructor who holds": Caller(
        "ana", groups=("ml",), is_instructor=True, instructs=("ml",), teaches=frozenset({"bo"}),
    ),
    "an operator": Caller("operator", is_operator=True),
    "an operator who holds": Caller("cho", is_operator=True),
    "a service named like a student": Caller("ana", kind="service"),
    "nobody of ours": Caller("stranger"),
}


def _slice(i: int, **changes: Any) -> Slice:
    key = SliceKey("node1", "GPU-1", "1g.5gb", i)
    return replace(
        Slice(key, f"MIG-{i}", "NVIDIA A100-SXM4-40GB", 0, 1, 1, 4864, used_mib=i), **changes
    )


def _request(id: str, user: str, group: str, kind: Kind = Kind.SERVER) -> Request:
    return Request(
        id, user, kind, "", "1g.5gb", "image", NOON - timedelta(minutes=5), group,
        member_of=(group,),
    )


def _held(id: str, user: str, group: str, where: Slice, **changes: Any) -> Lease:
    return replace(Lease(
        _request(id, user, group), Stage.RUNNING, where.key, granted_at=NOON - timedelta(hours=1),
        until=NOON + timedelta(hours=9), promised=NOON + timedelta(minutes=20), rate=1.0,
        active_at=NOON - timedelta(minutes=40), heard_at=NOON,
    ), **changes)


def _state() -> State:
    slices = [_slice(i) for i in range(4)] + [_slice(4, blocked="ECC errors")]
    leases = [
        _held("l1", "ana", "ml", slices[0]),
        _held("l2", "cho", "vision", slices[1],
              notice=Notice(Why.WAITING, NOON, NOON + timedelta(minutes=15))),
        _held("l3", "cho", "vision", slices[2], stage=Stage.DRAINING, draining_at=NOON,
              why=Why.HAND, cause="ended by the operator: maintenance"),
        Lease(_request("w1", "bo", "ml")), Lease(_request("w2", "cho", "vision", Kind.RUN)),
    ]
    booked = [
        Reservation("r1", "ml", "1g.5gb", 2, Weekly((1,), time(10), time(12), NOON.date()), "UTC",
                    made_by="teacher"),
        Reservation("r2", "vision", "1g.5gb", 1, Weekly((0,), time(11), time(13), NOON.date()),
                    "Asia/Seoul", made_by="operator", note="demo"),
    ]
    return State(
        slices={s.key: s for s in slices}, leases={x.id: x for x in leases},
        house=House(reservations={x.id: x for x in booked}),
    )


def _seen() -> Seen:
    state = _state()
    scene = Scene(state, NOON, places(state, "1g.5gb", NOON))
    return Seen(scene, (), {None: (), **{x.name: () for x in CALLERS.values()}}, PEOPLE, NOON)


def _shown(seen: Seen, caller: Caller, language: str = "en") -> LiveOut:
    inside = seen.board.for_caller(caller, language)
    return LiveOut.model_validate_json(f'{{"now":"{NOON.isoformat()}",{inside}}}')


SEEN = _seen()  # one for all: what was made for one must not be shown to another


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("who", CALLERS)
def test_everybody_sees_what_they_would_alone(who: str, language: str) -> None:
    caller, scene = CALLERS[who], SEEN.scene
    shown = _shown(SEEN, caller, language)
    assert shown.slices == slices_of(scene, caller)
    assert shown.line == line_of(scene, caller, language)
    assert shown.leases == leases_of(scene, scene.state.leases.values(), caller, language)
    assert shown.offers == offers(scene.state)
    house = scene.state.house
    assert {x.id: x for x in shown.reservations} == {
        x.id: reservation_out(x, next_window(x, NOON), caller)
        for x in house.reservations.values()
    }
    if caller.kind == "user":
        own = own_facts(scene.state, PEOPLE, caller.name, NOON)
        assert shown.usage == mine_out(own, house.rules, NOON)
    else:
        assert shown.usage is None


def test_the_windows_of_two_weeks_are_everybodys() -> None:
    shown = _shown(SEEN, CALLERS["a student of another group"])
    assert [(x.id, x.begins.day) for x in shown.windows] == [
        ("r2", 2), ("r1", 3), ("r2", 9), ("r1", 10), ("r2", 16),
    ]
    assert shown.week.begins == datetime(2026, 3, 2, tzinfo=UTC)


def test_a_student_is_told_no_names_and_no_reasons_of_others() -> None:
    for who in ("a student who holds", "nobody of ours", "a service named like a student"):
        inside = SEEN.board.for_caller(CALLERS[who], "en")
        for secret in ("cho", "bo", "teacher", "operator", "maintenance", "ECC", "MIG-", "l2"):
            assert f'"{secret}' not in inside, (who, secret)


