"""The figures of a run: recorded, glued or printed, and what of it stands in run.json."""

import array
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import madang
import pytest
from madang import figures, results
from nbformat.v4 import new_code_cell, new_output

from tests.images.bench import PACKAGE, Bench


def glued(name: str, value: Any, encoder: str = "json") -> Any:
    """What scrapbook 0.5 displays."""
    scrap = {"name": name, "data": value, "encoder": encoder, "version": 1}
    return new_output(
        "display_data", {f"application/scrapbook.scrap.{encoder}+json": scrap},
        metadata={"scrapbook": {"name": name, "data": True, "display": False}},
    )


def printed(text: str, name: str = "stdout") -> Any:
    return new_output("stream", name=name, text=text)


def of_run(folder: Path, *outputs: Any) -> dict[str, Any]:
    found, warning = figures.of_run(folder, [new_code_cell("", outputs=list(outputs))])
    assert not warning
    json.dumps(found, allow_nan=False)
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUN_DIR", str(tmp_path))
    return tmp_path


# ---- in a run -----------------------------------------------------------------------------


def test_a_run_keeps_what_its_notebook_records_and_glues(bench: Bench) -> None:
    done = bench.run([
        "import madang\nmadang.record('val/loss', 0.25)\n"
        "madang.record(accuracy=0.5, loss=float('nan'))",
        "madang.record(loss=0.75)\nmadang.glue('accuracy', 0.1)\nmadang.glue('words', ['a', 1])",
        "print('{\"printed\": 1}')",
    ])
    assert done.code == 0, done.log
    assert done.record["metrics"] == {
        "val/loss": 0.25, "accuracy": 0.5, "loss": 0.75, "words": ["a", 1],
    }
    assert "words = ['a', 1]" in done.log  # glued figures can be seen, too
    shown = done.cells[1].outputs[-1]
    assert shown.data["application/scrapbook.scrap.json+json"] == {
        "name": "words", "data": ["a", 1], "encoder": "json", "version": 1,
    }


def test_a_run_that_only_prints_json_has_the_last_line_of_it(bench: Bench) -> None:
    done = bench.run([
        "print('{\"loss\": 3}')", "print('{\"loss\": 0.5, \"best\": \"b\"}')\nprint('done')",
    ])
    assert done.record["metrics"] == {"loss": 0.5, "best": "b"}


def test_a_failed_run_has_what_it_recorded_before(bench: Bench) -> None:
    done = bench.run(["import madang\nmadang.record(epochs=3)", "raise ValueError('\\x1b[31mbad')"])
    assert (done.code, done.record["metrics"]) == (1, {"epochs": 3})
    assert done.record["error"]["lines"][-1] == "ValueError: bad"
    assert any("raise ValueError" in x for x in done.record["error"]["lines"])
    assert len(done.record["error"]["lines"]) <= 12


# ---- what counts as a figure --------------------------------------------------------------


def test_recorded_goes_before_glued_and_glued_before_printed(folder: Path) -> None:
    outputs = (glued("a", 1), glued("b", 2), printed('{"c": 3}\n'))
    assert of_run(folder, *outputs) == {"a": 1, "b": 2}
    madang.record(a=10)
    assert of_run(folder, *outputs) == {"a": 10, "b": 2}
    assert of_run(folder, glued("a", 1), glued("a", "x", "text"), glued("t", "", "pandas")) == {
        "a": 10,
    }


def test_a_printed_line_counts_only_as_an_object_of_numbers_and_texts(tmp_path: Path) -> None:
    lines = [
        '{"loss": 0.5}', '["loss", 1]', '{"nested": {"a": 1}}', '{"list": [1]}', "{}", "{'a': 1}",
        '{"none": null}', "0.7", '{"cut": 1', "the end",
    ]
    assert of_run(tmp_path, printed("\n".join(lines))) == {"loss": 0.5}
    assert of_run(tmp_path, printed('{"a": 1}'), printed('{"b": 1}', "stderr")) == {"a": 1}
    assert of_run(tmp_path, printed('{"a": NaN, "b": -Infinity}')) == {"a": "nan", "b": "-inf"}
    assert of_run(tmp_path, printed("nothing")) == {}


def test_values_are_what_json_holds(folder: Path) -> None:
    numbers = array.array("d", [0.5, float("inf")])
    madang.record(
        true=True, none=None, big=10**30, pair=(1, "a"), numbers=numbers, text="a\ud800\0b",
        deep={1: [float("nan")], "k": numbers},
    )
    assert of_run(folder) == {
        "true": True, "none": None, "big": 10**30, "pair": [1, "a"], "numbers": [0.5, "inf"],
        "text": "a?b", "deep": {"1": ["nan"], "k": [0.5, "inf"]},
    }


@pytest.mark.parametrize(("given", "error", "says"), [
    ({"x": object()}, TypeError, "x is a object, which JSON cannot hold"),
    ({"x": [Decimal(1)]}, TypeError, "x is a Decimal"),
    ({"x": "a" * results.MOST}, ValueError, "64 KiB together, and these have 65; keep curves"),
    ({"": 1}, ValueError, "1 to 64 printable characters"),
    ({"a\n": 1}, ValueError, "printable"),
    ({"a" * 65: 1}, ValueError, "1 to 64"),
])
def test_what_is_no_figure_is_refused_and_nothing_is_lost(
    folder: Path, given: dict[str, Any], error: type[Exception], says: str
) -> None:
    madang.record(kept=1)
    with pytest.raises(error, match=says):
        madang.record(**given)
    assert of_run(folder) == {"kept": 1}


def test_a_name_wants_a_value_and_a_value_a_name(folder: Path) -> None:
    for given in (("loss",), ("", 1), (3, 1)):
        with pytest.raises((TypeError, ValueError)):
            madang.record(*given)
    madang.record("a b", 1, c=2)
    assert of_run(folder) == {"a b": 1, "c": 2}


def test_too_many_glued_figures_leave_out_the_largest_and_say_so(tmp_path: Path) -> None:
    large = "a" * (results.MOST - 100)
    cells = [new_code_cell("", outputs=[glued("x", large), glued("y", "b" * 200), glued("z", 1)])]
    found, warning = figures.of_run(tmp_path, cells)
    assert found == {"y": "b" * 200, "z": 1}
    assert warning == "the figures of a run may have 64 KiB together; left out: x"


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": NaN, "": 1}', "[" * 10_000, "\xff"])
def test_a_file_of_figures_that_somebody_wrote_by_hand_does_no_harm(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "metrics.json").write_bytes(text.encode("latin-1"))
    assert of_run(tmp_path) in ({}, {"a": "nan"})


def test_processes_that_record_at_once_lose_nothing(tmp_path: Path) -> None:
    code = "import sys, madang\nfor i in range(30): madang.record(f'{sys.argv[1]}{i}', i)"
    env = {**os.environ, "PYTHONPATH": str(PACKAGE), "RUN_DIR": str(tmp_path)}
    children = [
        subprocess.Popen([sys.executable, "-c", code, x], env=env, stdout=subprocess.DEVNULL)
        for x in "abc"
    ]
    assert [x.wait(60) for x in children] == [0, 0, 0]
    assert len(of_run(tmp_path)) == 90


def test_outside_a_run_they_are_only_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RUN_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    madang.record(loss=0.123456)
    madang.glue("loss", 0.5)
    assert capsys.readouterr().out == "recorded loss=0.1235\nloss = 0.5\n"
    assert not list(tmp_path.iterdir())
