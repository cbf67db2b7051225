"""A sweep's plot: of any numbers, and well-formed whatever the names are."""

import re
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from hub.core.runs import Run, RunStage
from hub.core.sweeps import Sweep
from hub.face.sweepplot import drawn

NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.sampled_from([0, 0.1, -1]),
    st.text(max_size=3), st.none(), st.booleans(),
)
NAMES = st.sampled_from(["loss", "lr", "<b>", 'a"&'])
POINTS = st.lists(
    st.tuples(st.dictionaries(NAMES, NUMBERS), st.dictionaries(NAMES, NUMBERS)), min_size=1,
    max_size=8,
)


def sweep(*points: tuple[dict[str, Any], dict[str, Any]]) -> Sweep:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    return Sweep("s", tuple(
        Run(id=str(i), user="ana", notebook="n", profile="p", image="i", parameters=given,
            stage=RunStage.SUCCEEDED, asked_at=at, folder="f", metrics=found)
        for i, (given, found) in enumerate(points)
    ))


@given(POINTS)
def test_whatever_was_recorded_is_drawn_or_left_out(
    points: list[tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    found = drawn(sweep(*points))
    if found is not None:
        ET.fromstring(str(found.plot))  # noqa: S314 - our own
        assert not re.search(r"nan|inf", re.sub(r"<(title|text).*?</\1>", "", str(found.plot)))


def test_a_dot_for_each_run_and_a_line_through_the_means() -> None:
    found = drawn(sweep(
        ({"lr": 0.1, "seed": 0}, {"loss": 1.0}), ({"lr": 0.1, "seed": 1}, {"loss": 3.0}),
        ({"lr": 0.001, "seed": 0}, {"loss": 2.0}), ({"lr": 0.001, "seed": 1}, {}),
    ), parameter="lr")
    assert found
    assert (found.figure, found.parameter, found.parameters) == ("loss", "lr", ["lr", "seed"])
    assert found.plot.count("<circle") == 3
    mean = re.search(r'class="mean" points="([^"]*)"', found.plot)
    assert mean
    assert len(mean[1].split()) == 2
    # hundredfold apart: where the logarithm stands, the middle is 0.01
    assert ">0.01<" in found.plot


def test_without_a_number_to_stand_over_each_run_has_a_column() -> None:
    found = drawn(sweep(({"model": "a"}, {"acc": 0.5}), ({"model": "b"}, {"acc": -0.5})))
    assert found
    assert (found.parameter, found.plot.count("<rect")) == ("", 2)
    assert "model=a: 0.5" in found.plot


def test_numbers_at_the_end_of_what_there_is() -> None:
    points = [
        ({"lr": lr}, {"loss": x}) for lr in (-1e308, 1e308) for x in (1.7e308, 1.7e308, -1e308)
    ]
    found = drawn(sweep(*points))
    assert found
    assert not re.search(r'="[^"]*(nan|inf)', found.plot)


def test_no_numbers_no_plot() -> None:
    assert drawn(sweep(({"lr": 1}, {}), ({"lr": 2}, {"text": "x", "nan": float("nan")}))) is None


def test_what_cannot_be_drawn_is_not_asked_for() -> None:
    points = (({"lr": 1}, {"loss": 1.0}), ({"lr": 2}, {"loss": 2.0}))
    found = drawn(sweep(*points), figure="<script>", parameter="nothing")
    assert found
    assert (found.figure, found.parameter) == ("loss", "lr")
