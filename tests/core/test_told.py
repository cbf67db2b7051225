"""What a run tells of itself is shown, and believed in nothing."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from hub.core.told import Told, record_of, steps_of, told


def test_the_log_shows_how_many_steps_are_done() -> None:
    log = "madang: progress 1/10\nloss\nmadang: progress 2/10\nsaid madang: progress 9/9\n"
    assert steps_of(log) == (2, 10)
    assert steps_of("") == (0, 0)
    assert steps_of(f"madang: progress {'9' * 400}/3\n") == (0, 0)


def test_what_a_good_record_says_is_kept() -> None:
    found = told({
        "metrics": {"loss": 0.5, "losses": [1, 2.5], "best": {"epoch": 3}, "name": "가"},
        "error": {"cell": 3, "id": "c", "ename": "ValueError", "evalue": "bad", "lines": ["x = 1"]},
        "resources": {"peak_rss_mib": 300, "gpu_memory_peak_mib": 1024.7},
    })
    assert found.metrics == {"loss": 0.5, "losses": [1, 2.5], "best": {"epoch": 3}, "name": "가"}
    assert found.error == {
        "cell": 3, "id": "c", "ename": "ValueError", "evalue": "bad", "lines": ["x = 1"],
    }
    assert (found.memory_peak_mib, found.gpu_memory_peak_mib) == (300, 1024)


def test_what_is_too_large_or_no_json_is_left_out_or_cut() -> None:
    found = told({
        "metrics": {"x" * 100: 1, "big": "y" * 3000, "nan": float("nan"), **{
            f"m{i}": i for i in range(200)}},
        "error": {"cell": "3", "evalue": "z" * 10_000, "lines": ["w" * 10_000] * 50},
        "resources": {"peak_rss_mib": True, "gpu_memory_peak_mib": 2.0**70},
    })
    assert len(found.metrics) == 100
    assert found.metrics["nan"] == "nan"
    assert "big" not in found.metrics
    assert max(map(len, found.metrics)) == 64
    assert len(json.dumps(found.error)) < 15_000
    assert found.error is not None
    assert found.error["cell"] is None
    assert (found.memory_peak_mib, found.gpu_memory_peak_mib) == (None, None)


def test_all_figures_together_are_small() -> None:
    found = told({"metrics": {f"m{i}": "x" * 1900 for i in range(9)} | {"loss": 0.5}})
    assert [*found.metrics] == ["m0", "m1", "m2", "m3", "loss"]


def test_what_is_nested_deeper_than_the_browsers_json_may_be_is_cut() -> None:
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    record = record_of(json.dumps({"metrics": {"deep": deep, "large": 10**400}}).encode())
    kept = told(record).metrics
    assert json.dumps(kept["deep"]) == f"{'[' * 14}\"\\u2026\"{']' * 14}"
    assert kept["large"] == str(10**400)
    TypeAdapter(Told).dump_json(Told(kept))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=10,
)


@given(st.dictionaries(
    st.sampled_from(["metrics", "error", "resources"]), anything | st.dictionaries(
        st.sampled_from(["peak_rss_mib", "gpu_memory_peak_mib", "cell", "evalue", "lines"]),
        anything)))
def test_whatever_a_student_writes_into_it_is_json_after(record: Any) -> None:
    found = told(record)
    json.dumps([found.metrics, found.error], allow_nan=False)


@pytest.mark.parametrize("text", [None, b"", b"{", b"[1]", b"3", b"\xff", b"[" * 100_000])
def test_what_is_no_record_is_an_empty_one(text: bytes | None) -> None:
    assert record_of(text) == {}


def test_what_no_database_takes_is_taken_out() -> None:
    found = told(record_of(
        b'{"metrics": {"a\\u0000b": "x\\u0000\\ud800y"}, "error": {"evalue": "\\u0000"}}'
    ))
    assert found.metrics == {"ab": "x?y"}
    assert found.error == {"cell": None, "evalue": "", "lines": []}
