from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.rules import Reservation, Span, Weekly
from hub.core.timetable import check, windows
from hub.errors import BadInput
from tests.core.wishes import BUSY, NOW, RULES, SMALL, TOTALS, typed, wishes

WEEK = timedelta(weeks=1)


@settings(max_examples=60)
@given(st.lists(st.tuples(wishes(), st.booleans()), max_size=9), BUSY)
def test_what_is_accepted_can_be_kept(
    asked: list[tuple[Reservation, bool]], busy: list[datetime]
) -> None:
    kept: list[Reservation] = []
    for i, (wish, take) in enumerate(asked):
        new = replace(wish, id=f"r{i}")
        try:
            check(new, kept, TOTALS, busy, NOW, RULES)
        except BadInput as e:
            values = e.values
        else:
            kept.append(new)
            continue
        fits, left = values.get("fits"), values.get("left")
        if isinstance(fits, Weekly | Span):
            moved = replace(new, when=fits)
            assert typed(moved) == fits
            check(moved, kept, TOTALS, busy, NOW, RULES)
            kept += [moved] if take else []
        elif isinstance(left, int) and left > 0 and not busy:
            check(replace(new, count=left), kept, TOTALS, busy, NOW, RULES)
    there = {x.id: windows(x, NOW, NOW + 54 * WEEK) for x in kept}
    for at in {max(NOW, w.begins) for x in there.values() for w in x}:
        on = [x.count for x in kept for w in there[x.id] if w.begins <= at < w.ends]
        assert sum(on) + sum(x > at for x in busy) <= TOTALS[SMALL]
