"""Lab's extension in Node: what the person is told while a slice is held, and after it is gone."""

import json
import shutil
import subprocess
from typing import Any

import pytest

from hub.face.programs import search_path
from tests.images.bench import PACKAGE
from tests.images.leasing import LEASE

STATIC = PACKAGE / "madang" / "labextension" / "static"
LAB = PACKAGE.parents[1] / "tests" / "images" / "lab.mjs"
HELD = LEASE | {"promised": "2026-01-01T12:00:00Z", "until": None}
ASKED_BACK = HELD | {"notice": "waiting", "leave_by": "2026-01-01T09:10:00Z"}
WHY = "Your slice went to somebody who waited."
GONE = [424, {"message": "JupyterHub server no longer running at /user/ana/."}]
PROXY = [503, {}]
REFUSED = {"can_extend": False, "no_extend": "Somebody waits for a slice of this size."}


def answer(state: dict[str, Any] | None, **rest: Any) -> list[Any]:
    """What the server says of its lease."""
    return [200, {"slice": "3g.20gb", "text": "3g.20gb", "waiting": 0, "away": False,
                  "state": state} | rest]


def play(*answers: Any, **rest: Any) -> dict[str, Any]:
    """What Lab shows where the server answers so, one look after the other."""
    node = shutil.which("node", path=search_path())
    assert node
    done = subprocess.run(
        [node, str(LAB), str(STATIC), json.dumps({"answers": answers} | rest)],
        text=True, check=False, capture_output=True, env={"TZ": "UTC"}, timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def texts(shown: dict[str, Any]) -> list[str]:
    return [x["text"] for x in shown["told"]]


# ---- extending ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("more", "offered"), [
    (REFUSED, False), ({"can_extend": True, "no_extend": None}, True), ({"can_extend": None}, True),
])
def test_extend_is_offered_only_where_it_may_be_granted(
    more: dict[str, Any], offered: bool  # noqa: FBT001 - a case
) -> None:
    shown = play(answer(ASKED_BACK | more), open=True)
    [told] = shown["told"]
    assert ("Extend" in told["actions"]) is offered
    assert told["actions"][-1] == "Save and give back"
    assert ("Extend" in shown["dialog"]["buttons"]) is offered
    assert (REFUSED["no_extend"] in shown["dialog"]["rows"]) is (more is REFUSED)


def test_a_notice_says_the_time_of_day_which_stays_true() -> None:
    shown = play(*[answer(ASKED_BACK)] * 3)
    assert texts(shown) == [
        "Your slice 3g.20gb is asked back: it is yours until 09:10. Somebody waits for a slice. "
        "Save your work."
    ]


# ---- the end ------------------------------------------------------------------------------------


def test_an_end_is_told_with_its_reason_while_the_server_drains() -> None:
    over = ASKED_BACK | {"stage": "draining", "cause": "somebody waited", "reason": WHY}
    shown = play(answer(ASKED_BACK), answer(over), GONE, GONE)
    assert texts(shown)[1:] == [WHY]
    assert shown["told"][1]["kind"] == "error"
    assert shown["texts"][-1] == "3g.20gb · ended"


@pytest.mark.parametrize("last", [GONE, PROXY])
def test_a_server_that_is_gone_is_told_with_where_the_reason_stands(last: Any) -> None:
    shown = play(answer(HELD), last, last, last, press="Why?")
    assert shown["told"] == [{
        "kind": "error", "text": "Your server has ended. What was saved is safe.",
        "actions": ["Why?"],
    }]
    assert shown["tabs"] == ["http://hub/user/ana/"]
    assert shown["texts"][-1] == "3g.20gb · ended"


def test_after_a_notice_one_miss_is_the_end() -> None:
    assert texts(play(answer(ASKED_BACK), GONE))[-1] == (
        "Your server has ended. What was saved is safe."
    )


def test_a_notice_that_ran_out_was_the_reason() -> None:
    ran_out = ASKED_BACK | {"leave_by": "2026-01-01T09:00:20Z"}
    shown = play(answer(ran_out), GONE, open=True)
    text = "Your server has ended. What was saved is safe. Somebody waits for a slice."
    assert shown["told"][-1]["text"] == text
    assert text in shown["dialog"]["rows"]
    assert shown["dialog"]["buttons"] == ["Close", "Why?"]


def test_what_shows_a_notification_is_loaded_while_there_is_a_server() -> None:
    """Lab asks for it with the first notification: no server would answer then."""
    assert play(answer(HELD))["heard"] == ["removed madang-none"]


@pytest.mark.parametrize("between", [
    [GONE], [GONE, answer(HELD), GONE], [[0, {}], [0, {}]], [[503, {"reason": "away"}]] * 3,
    [[500, {}]] * 3,
])
def test_what_may_pass_is_no_end(between: list[Any]) -> None:
    shown = play(answer(HELD), *between, answer(HELD))
    assert shown["told"] == []
    assert shown["texts"][-1] == "3g.20gb · yours until 12:00"


def test_a_server_that_is_there_again_takes_the_end_back() -> None:
    shown = play(answer(HELD), GONE, GONE, answer(HELD))
    assert len(shown["told"]) == 1
    assert shown["taken"] == 1
    assert shown["texts"][-1] == "3g.20gb · yours until 12:00"


def test_a_server_without_a_slice_that_is_gone_is_told_too() -> None:
    shown = play(answer(None, slice=None, text="CPU"), GONE, GONE)
    assert texts(shown) == ["Your server has ended. What was saved is safe."]
    assert shown["texts"] == ["CPU only", "CPU only", "ended"]


def test_a_page_that_is_not_the_servers_is_not_taken_for_it() -> None:
    """A login page, where the session is over."""
    shown = play(answer(HELD), [200, {"now": None}])
    assert shown["texts"][-1] == "3g.20gb · yours until 12:00"


# ---- the beginning ------------------------------------------------------------------------------


def test_the_item_is_there_before_anything_that_can_fail_and_comes_to_life_later() -> None:
    shown = play(answer(HELD), words=2)
    assert shown["item"] == "Madang …"
    assert shown["texts"][-1] == "3g.20gb · yours until 12:00"
