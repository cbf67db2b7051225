"""What Lab says that is open: believed for a while, each person's for themselves."""

from datetime import UTC, datetime, timedelta

import pytest

from hub.errors import Refusal
from hub.opened import Opened

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


def test_what_was_told_last_counts_until_nothing_was_heard_for_long() -> None:
    now = [NOW]
    made = Opened(lambda: now[0])
    made.tell("minji", {"torch": ["a.ipynb", "b.ipynb"], "other": ["c.ipynb"]})
    made.tell("minji", {"torch": ["b.ipynb"], "other": []})
    assert made.of("minji", "torch") == {"b.ipynb"}
    assert made.of("minji", "other") == made.of("bora", "torch") == frozenset()
    now[0] += timedelta(seconds=150)
    assert made.of("minji", "torch") == {"b.ipynb"}
    now[0] += timedelta(seconds=1)
    assert made.of("minji", "torch") == frozenset()


def test_what_is_open_is_refused_by_name() -> None:
    made = Opened(lambda: NOW)
    made.tell("minji", {"torch": ["a.ipynb"]})
    made.check("minji", "torch", ["b.ipynb"])
    made.check("bora", "torch", ["a.ipynb"])
    with pytest.raises(Refusal, match=r"a\.ipynb: open in Lab"):
        made.check("minji", "torch", ["b.ipynb", "a.ipynb"])
