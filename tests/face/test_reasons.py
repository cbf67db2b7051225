"""What people are told about waiting and about slices taken back: every case, in both languages."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.core.forecast import Place, Wait
from hub.core.giving import CAUSES
from hub.core.lease import Ended, Kind, Lease, Request, Stage, Why, step
from hub.core.runs import MESSAGES, Run, RunStage
from hub.errors import Text
from hub.face import hubpages, lastwords, reasons, words
from hub.face.container import name_of
from tests.floor.floors import Floor, floor_at

NOW = datetime(2026, 11, 23, 5, 2, tzinfo=UTC)
IMAGE = "madang/notebook:latest"
SAY = reasons.clock("Asia/Seoul", NOW)
PLACE = Place("l1", 4, "3g.20gb", total=2, held=2, wait=Wait.LINE)
LEASE = Lease(
    Request("l1", "ana", Kind.SERVER, "", "3g.20gb", IMAGE, NOW), Stage.DRAINING,
    granted_at=NOW - timedelta(hours=2), promised=NOW - timedelta(hours=1),
    active_at=NOW - timedelta(minutes=40), draining_at=NOW,
)


def both(text: Text | None) -> str:
    """In English, after a look at the Korean."""
    assert text is not None
    korean = words.text("ko", text)
    assert any("가" <= x <= "힣" for x in korean)
    assert "{" not in korean
    return words.text("en", text)


def test_a_moment_is_said_in_the_houses_time_with_its_day_where_it_is_another() -> None:
    assert SAY(NOW) == "14:02 KST"
    assert SAY(NOW + timedelta(hours=10)) == "2026-11-24 00:02 KST"
    assert reasons.marked(NOW) == "{2026-11-23T05:02:00Z}"
    assert reasons.MARKED.fullmatch(reasons.marked(NOW))


@pytest.mark.parametrize(("place", "out", "said"), [
    (replace(PLACE, first_promised=NOW + timedelta(minutes=18)), 0,
     "Waits for a 3g.20gb: 2 of 2 are held, the first is promised until 14:20 KST. 3 before "
     "you in the line."),
    (replace(PLACE, position=1), 0,
     "Waits for a 3g.20gb: 2 of 2 are held. It is the next in the line."),
    (replace(PLACE, position=2, held=1), 1,
     "Waits for a 3g.20gb: 1 of 2 are held. 1 of them can be given to nobody just now. 1 before "
     "you in the line."),
    (replace(PLACE, position=1, wait=Wait.RESERVED, opens=NOW + timedelta(hours=2)), 0,
     "Waits for a 3g.20gb: what is not held is reserved for others until 16:02 KST. It is the next "
     "in the line."),
    (replace(PLACE, position=1, wait=Wait.RESERVED), 0,
     "Waits for a 3g.20gb: what is not held is reserved for others. It is the next in the line."),
    (replace(PLACE, position=1, wait=Wait.SHORT, opens=NOW + timedelta(hours=2)), 0,
     "A 3g.20gb is free until 16:02 KST only, and this run took longer before. It is the next in "
     "the line."),
    (replace(PLACE, position=1, wait=Wait.QUOTA, opens=NOW + timedelta(days=7)), 0,
     "The quota of this week is used up; the new week begins 2026-11-30 14:02 KST. It is the next "
     "in the line."),
    (replace(PLACE, position=1, wait=Wait.GONE, total=0, held=0), 2,
     "No slice of size 3g.20gb is here any more: the cards were cut anew. Leave the line, and "
     "choose another size. It is the next in the line."),
])
def test_why_somebody_waits(place: Place, out: int, said: str) -> None:
    assert both(reasons.why_it_waits(place, SAY, out=out)) == said


def test_an_operator_is_not_called_you() -> None:
    assert "before it" in both(reasons.why_it_waits(PLACE, SAY, own=False))


def test_the_range_is_in_steps_of_five_minutes_and_holds_the_true_one() -> None:
    known = replace(
        PLACE, earliest=NOW + timedelta(minutes=21), latest=NOW + timedelta(minutes=61)
    )
    assert both(reasons.when_it_comes(known, SAY, NOW)) == (
        "Probably between 14:20 KST and 15:05 KST.")
    soon = replace(known, earliest=NOW)
    assert both(reasons.when_it_comes(soon, SAY, NOW)) == "Probably before 15:05 KST."
    assert reasons.when_it_comes(PLACE, SAY, NOW) is None
    even = NOW.replace(minute=5), NOW.replace(minute=10)
    assert reasons.rounded(*even) == even


def test_the_pending_page_is_told_all_of_it() -> None:
    place = replace(PLACE, earliest=NOW + timedelta(minutes=21), latest=NOW + timedelta(hours=2))
    said = both(reasons.told_to_who_waits(place, SAY, now=NOW))
    assert said == (
        "You are number 4 in the line for 3g.20gb. Waits for a 3g.20gb: 2 of 2 are held. Probably "
        "between 14:20 KST and 16:05 KST."
    )
    timed = words.text("ko", reasons.told_to_who_waits(place, reasons.marked, now=NOW))
    assert len(reasons.MARKED.findall(timed)) == 2


@pytest.mark.parametrize(("why", "said"), [
    (Why.WAITING, "its promised time was over at 13:02 KST"),
    (Why.IDLE, "nothing had happened on it since 13:22 KST"),
    (Why.RESERVED, "reserved for others, so it was yours until 14:02 KST"),
    (Why.LIMIT, "was over at 14:02 KST"),
    (Why.PREEMPTED, "in front of a screen"),
])
def test_why_a_slice_was_taken_back(why: Why, said: str) -> None:
    told = both(reasons.why_it_ended(replace(LEASE, why=why), SAY))
    assert said in told
    assert "files are safe" in told


def test_every_rule_has_its_words() -> None:
    for why in Why:
        assert both(reasons.why_it_ended(replace(LEASE, why=why, cause="ended by x"), SAY))
    assert reasons.why_it_ended(LEASE, SAY) is None


@pytest.mark.parametrize(("cause", "said"), [
    ("ended by the operator", "It was ended by the operator. Your files are safe."),
    ("ended by teacher: a: b.", "It was ended by teacher: a: b. Your files are safe."),
])
def test_who_ended_it_and_why(cause: str, said: str) -> None:
    assert both(reasons.why_it_ended(replace(LEASE, why=Why.HAND, cause=cause), SAY)) == said


# ---- what became of a run --------------------------------------------------------------------


def run(message: str) -> Run:
    return Run("r", "ana", "n.ipynb", "1g.5gb", IMAGE, {}, RunStage.FAILED, NOW, "runs/x",
               message=message)


@pytest.mark.parametrize(("message", "korean"), [
    (f"{CAUSES[Why.PREEMPTED]}; it waits again",
     "화면 앞에 있는 사람에게 슬라이스가 필요했습니다. 다시 기다립니다"),
    ("cancelled by the operator: a fan: it is broken",
     "운영자이(가) 취소했습니다: a fan: it is broken"),
    ("cancelled by ana", "ana이(가) 취소했습니다"),
    ("its container disappeared: its container is gone",
     "컨테이너가 사라졌습니다: 컨테이너가 없어졌습니다"),
    ("could not start: {0.__class__} %s", "시작하지 못했습니다: {0.__class__} %s"),
    ("ended by teacher: the class begins", "teacher이(가) 끝냈습니다: the class begins"),
    ("NameError: cancelled is not defined", "NameError: cancelled is not defined"),
    ("Start", "Start"), ("", ""),
])
def test_a_runs_message_is_in_the_readers_words(message: str, korean: str) -> None:
    assert reasons.said(run(message), "ko").message == korean
    assert reasons.said(run(message), "en") == run(message)


def test_every_message_of_ours_has_its_translation() -> None:
    for template in (*MESSAGES, *CAUSES.values()):
        assert template in words.catalogue("ko"), template


def test_no_message_hides_behind_another() -> None:
    for template in MESSAGES:
        filled = re.sub(r"{(\w+)}", r"\1", template)
        assert reasons.said(run(filled), "ko").message == re.sub(
            r"{(\w+)}", r"\1", words.catalogue("ko")[template])


# ---- the hub's page --------------------------------------------------------------------------


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    with floor_at(tmp_path) as made:
        yield made


def told(floor: Floor, user: str = "ana", language: str = "en") -> str:
    why = hubpages.template_vars(floor.broker.settings, floor.broker)["why_ended"](None)
    return str(why(user, "", language))


def held(floor: Floor, user: str = "ana") -> str:
    return floor.broker.ask(
        user=user, kind=Kind.SERVER, name="", profile="3g.20gb", image=IMAGE
    ).id


def test_the_page_says_why_a_server_was_ended(floor: Floor) -> None:
    assert told(floor) == ""
    id = held(floor)
    with floor.broker.edges.store.write() as unit:
        unit.state, _ = step(unit.state, Ended(id, "x", Why.WAITING), datetime.now(UTC))
    said = told(floor)
    # it was promised for an hour: before midnight that is on another day
    moment = r'was over at <time datetime="[^"]+Z">([\d-]{10} )?\d\d:\d\d [A-Z]+</time>'
    assert re.search(moment, said)
    assert "파일은 안전합니다" in told(floor, language="ko")
    assert told(floor, "bo") == ""


def test_what_somebody_wrote_is_text_on_the_page(floor: Floor) -> None:
    floor.broker.end(held(floor), "<b>teacher</b>", "<script>alert(1)</script> {2026-x}")
    said = told(floor)
    assert "&lt;script&gt;" in said
    assert "<script" not in said
    assert "<b>" not in said


def test_who_ends_the_own_server_knows_why(floor: Floor) -> None:
    floor.broker.end(held(floor), "ana")
    assert told(floor) == ""


def test_a_later_server_without_a_slice_speaks_for_itself(floor: Floor) -> None:
    floor.broker.end(held(floor), "the operator")
    settings = floor.broker.settings
    later = datetime.now(UTC) + timedelta(hours=1)
    lastwords.keep(settings.data, name_of(settings.name, "ana", ""), lastwords.LastWords(
        later, "its server exited", 3, oom=False, log="boom"))
    assert "It exited with code 3." in told(floor)
