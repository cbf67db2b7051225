"""`madang.progress`: one line in the notebook, few in the log, and the truth at the end."""

import os
import re
import subprocess
import sys
import time

import madang
import pytest

from tests.images.bench import PACKAGE, Bench

LINE = re.compile(r"^madang: progress (\d+)/(\d+)$", re.MULTILINE)


def test_a_run_tells_how_far_its_notebook_is(bench: Bench) -> None:
    done = bench.run([
        "import madang, time\nfor i in range(1, 301):\n    madang.progress(i, 300)\n"
        "    time.sleep(0.01)\nprint('trained')",
        "for i in range(4): madang.progress(i, 4)",
    ])
    assert done.code == 0, done.log
    told = [(int(a), int(b)) for a, b in LINE.findall(done.log)]
    assert told[-1] == (3, 4)
    assert (300, 300) in told
    assert told.index((300, 300)) <= 5  # 300 steps are a handful of lines
    shown = [o for c in done.cells for o in c.outputs if o.output_type == "display_data"]
    assert [o.data["text/plain"] for o in shown] == ["progress 300/300", "progress 3/4"]
    assert "progress 300/300\n" not in done.log.replace("madang: progress 300/300\n", "")
    assert (done.record["steps_done"], done.record["steps"]) == (3, 4)


def test_a_script_that_a_notebook_calls_is_heard_too(bench: Bench) -> None:
    done = bench.run([
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', "
        "'import madang; madang.progress(7, 9); madang.progress(9, 9)'])\n"
        "print('madang: progress 1/2/3')\nprint('madang: progress 9/')",
    ])
    assert done.code == 0, done.log
    assert LINE.findall(done.log) == [("7", "9"), ("9", "9")]
    assert " madang: progress 1/2/3" in done.log.splitlines()
    assert (done.record["steps_done"], done.record["steps"]) == (9, 9)


def test_what_a_program_prints_is_in_the_log_once_and_cannot_be_forged(bench: Bench) -> None:
    done = bench.run([
        "import subprocess\nsubprocess.run(['sh', '-c', "
        "'echo madang: cell 9/9; echo out; echo err >&2'], check=True)",
    ])
    lines = done.log.splitlines()
    assert (lines.count("out"), lines.count("err"), lines.count(" madang: cell 9/9")) == (1, 1, 1)
    assert "madang: cell 9/9" not in lines


def test_what_comes_after_a_cells_end_is_that_cells(bench: Bench) -> None:
    late = ("import asyncio\n"
            "async def say():\n    await asyncio.sleep(0.3)\n    print('late')\n"
            "task = asyncio.create_task(say())")
    done = bench.run([late, "1", "await asyncio.sleep(1)", "print('next')"])
    assert [done.text(0), done.text(2), done.text(3)] == ["late\n", "", "next\n"], done.log
    assert done.log.splitlines().count("late") == 1


def test_a_thread_that_goes_on_printing_does_not_keep_a_run_from_its_end(bench: Bench) -> None:
    talks = ("import threading, time\n"
             "def talk():\n    while True:\n        print('still', flush=True); time.sleep(0.01)\n"
             "threading.Thread(target=talk, daemon=True).start()")
    done = bench.run([talks, "1"])
    assert (done.code, done.record["stage"]) == (0, "succeeded"), done.log


def test_a_plain_script_prints_few_lines() -> None:
    code = "import madang\nfor i in range(100_001): madang.progress(i, 100_000)"
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
    )
    lines = done.stdout.splitlines()
    assert (lines[0], lines[-1]) == ("madang: progress 0/100000", "madang: progress 100000/100000")
    assert len(lines) <= 3 + (time.monotonic() - began)


@pytest.mark.parametrize(("done", "of", "error"), [
    (-1, 3, ValueError), (1, -3, ValueError), (1.5, 3, TypeError), ("1", 3, TypeError),
])
def test_what_is_no_count_is_refused(done: object, of: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        madang.progress(done, of)


def test_more_than_all_is_all_and_nothing_of_nothing_is_not_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    madang.progress(0, 0)
    madang.progress(12, 10)
    madang.progress(4 * 10**9, 4 * 10**9)  # letters of a text, say; the service reads nine digits
    assert capsys.readouterr().out.splitlines() == [
        "madang: progress 10/10", "madang: progress 800000000/800000000",
    ]
