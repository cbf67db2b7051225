"""What Lab says that is open: believed for a while, each window's and person's for themselves."""

from datetime import UTC, datetime, timedelta

import pytest

from hub.errors import Refusal
from hub.opened import Opened

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


def test_what_was_told_last_counts_until_nothing_was_heard_for_long() -> None:
    now = [NOW]
    made = Opened(lambda: now[0])
    made.tell("minji", "w", {"torch": ["a.ipynb", "b.ipynb"], "other": ["c.ipynb"]})
    made.tell("minji", "w", {"torch": ["b.ipynb"], "other": []})
    assert made.of("minji", "torch") == {"b.ipynb"}
    assert made.of("minji", "other") == made.of("bora", "torch") == frozenset()
    now[0] += timedelta(seconds=150)
    assert made.of("minji", "torch") == {"b.ipynb"}
    now[0] += timedelta(seconds=1)
    assert made.of("minji", "torch") == frozenset()
    made.tell("bora", "w", {})
    assert made._told == {}, "nothing is kept of who is not heard any more"


def test_two_computers_of_one_person_do_not_speak_for_each_other() -> None:
    made = Opened(lambda: NOW)
    made.tell("minji", "desk", {"torch": ["a.ipynb"]})
    made.tell("minji", "lap", {"torch": ["b.ipynb"]})
    assert made.of("minji", "torch") == {"a.ipynb", "b.ipynb"}
    made.tell("minji", "lap", {})
    assert made.of("minji", "torch") == {"a.ipynb"}


def test_what_one_person_can_have_kept_is_bounded() -> None:
    made = Opened(lambda: NOW)
    for window in range(100):
        made.tell("minji", f"{window}", {
            f"c{x}": [f"{window} {i}" for i in range(300)] for x in range(5)
        })
    kept = [y for _, files in made._told["minji"].values() for x in files.values() for y in x]
    assert len(kept) == 8000
    assert "99 0" in made.of("minji", "c0")


def test_what_is_open_is_refused_by_name() -> None:
    made = Opened(lambda: NOW)
    made.tell("minji", "w", {"torch": ["a.ipynb"]})
    made.check("minji", "torch", ["b.ipynb"])
    made.check("bora", "torch", ["a.ipynb"])
    with pytest.raises(Refusal, match=r"a\.ipynb: open in Lab"):
        made.check("minji", "torch", ["b.ipynb", "a.ipynb"])
