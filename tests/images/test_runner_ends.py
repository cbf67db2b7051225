"""How a run can end badly, on real kernels: the cell, the file and the exit code say the same."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.images.bench import Bench, read_until

SAVES_ITSELF = """
import os, time, pathlib
done = 0
try:
    {body}
except KeyboardInterrupt:
    pathlib.Path(os.environ["RUN_DIR"], "checkpoint").write_text(str(done))
    print("saved a checkpoint")
"""


# ---- what can go wrong in a cell ----------------------------------------------------------


def test_a_cell_that_raises(bench: Bench) -> None:
    done = bench.run(["print('one')", "raise ValueError('bad shape')", "print('three')"])
    assert (done.code, done.said) == (1, "madang: failed cell 2/3: ValueError: bad shape")
    assert done.statuses == ["completed", "failed", "pending"]
    assert "Traceback" in done.log
    error = done.record["error"]
    assert (error["cell"], error["ename"], error["evalue"]) == (2, "ValueError", "bad shape")
    assert error["id"] in {c.id for c in done.notebook.cells if "ValueError" in c.source}
    assert (done.record["stage"], done.record["exit_code"]) == ("failed", 1)
    assert done.record["cells_done"] == 1
    assert done.notebook.metadata.papermill.exception is True


def test_a_kernel_that_is_killed(bench: Bench) -> None:
    done = bench.run(["print('one', flush=True)",
                      "import os, time; print('two', flush=True); time.sleep(.5)\n"
                      "os.kill(os.getpid(), 9)", "print('three')"])
    assert done.code == 138
    assert done.said.startswith("madang: kernel-died cell 2/3: The kernel was killed by signal 9")
    assert done.statuses == ["completed", "failed", "pending"]
    assert [o.get("text", o.get("ename")) for o in done.cells[1].outputs] == [
        "two\n", "DeadKernelError"]
    assert (done.record["stage"], done.record["error"]["cell"]) == ("kernel-died", 2)


def test_a_kernel_that_exits(bench: Bench) -> None:
    done = bench.run(["import os; os._exit(3)"])
    assert done.code == 138
    assert "exit code 3" in done.said


def test_a_kernel_that_does_not_start_says_why(bench: Bench) -> None:
    place = bench.home / ".local/share/jupyter/kernels/broken"
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps({
        "argv": [sys.executable, "-c", "raise SystemExit('there is no libcuda')"],
        "display_name": "Broken", "language": "python",
    }))
    done = bench.run(["1"], kernel="broken")
    assert (done.code, done.record["stage"]) == (138, "kernel-died")
    assert "there is no libcuda\n" in done.log
    assert "The kernel did not start" in done.said


def test_out_of_time_keeps_what_there_is(bench: Bench) -> None:
    cell = "import time\nfor i in range(1000):\n    print('step', i, flush=True); time.sleep(.1)"
    began = time.monotonic()
    done = bench.run(["print('one')", cell, "print('three')"], timeout=6)
    assert 5.5 < time.monotonic() - began < 60
    assert done.code == 124, done.log
    assert done.said == "madang: timed-out out of time in cell 2/3; saved."
    assert done.statuses == ["completed", "failed", "pending"]
    assert "step 3" in done.text(1)
    assert done.record["stage"] == "timed-out"


# ---- SIGTERM ------------------------------------------------------------------------------

BODIES = {
    "printing": "print('go', flush=True)\n    while True: done += 1; print(done); time.sleep(.01)",
    "silent": "print('go', flush=True)\n    time.sleep(600)",
    "training": ("w = [1.5] * 5000; print('go', flush=True)\n"
                 "    while True: w = [x - .01 * (x * x - 2) for x in w]; done += 1"),
}


@pytest.mark.parametrize("kind", BODIES)
def test_sigterm_lets_the_notebook_save(bench: Bench, kind: str) -> None:
    began = time.monotonic()
    cells = ["print('one')", SAVES_ITSELF.format(body=BODIES[kind]), "print('never')"]
    done = bench.interrupt(cells, when="go")
    assert done.code == 75, done.log
    assert (done.folder / "checkpoint").read_text().isdigit()
    assert done.said == "madang: interrupted stopped in cell 2/3; saved."
    assert done.statuses == ["completed", "completed", "pending"]
    assert "saved a checkpoint" in done.text(1)
    assert (done.record["stage"], done.record["exit_code"]) == ("interrupted", 75)
    assert time.monotonic() - began < 60


def test_sigterm_without_a_handler_marks_the_cell(bench: Bench) -> None:
    done = bench.interrupt(["print('go', flush=True)\nimport time; time.sleep(600)", "1"], "go")
    assert done.code == 75
    assert done.statuses == ["failed", "pending"]
    assert done.record["error"]["ename"] == "KeyboardInterrupt"


DEAF = """
import time
print('go', flush=True)
while True:
    try:
        time.sleep(1)
    except KeyboardInterrupt:
        print('no', flush=True)
"""


@pytest.mark.parametrize(("signals", "grace"), [(2, 60), (1, 5)])
def test_a_deaf_cell_is_ended_and_still_saved(bench: Bench, signals: int, grace: float) -> None:
    began = time.monotonic()
    done = bench.interrupt([DEAF], "go", signals=signals, grace=grace)
    assert done.code == 75, done.log
    assert time.monotonic() - began < 60  # the grace alone would be over only then
    assert "did not stop in time" in done.said
    assert done.statuses == ["failed"]
    assert "no" in done.text(0)


def test_sigterm_before_the_first_cell(bench: Bench) -> None:
    """At any moment from the signal handler on, a SIGTERM ends the run with 75."""
    for pause in (0.5, 1.2):
        child = bench.start(["import time; time.sleep(20)"], folder=f"runs/{pause}")
        while not handles_sigterm(child.pid):
            time.sleep(0.02)
        time.sleep(pause)
        child.send_signal(signal.SIGTERM)
        done = bench.end(child, f"runs/{pause}")
        assert done.code == 75, done.log


def test_as_the_first_process_of_a_container(bench: Bench) -> None:
    """PID 1 gets no default action for SIGTERM."""
    unshare = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no PID namespace")
    cell = SAVES_ITSELF.format(body="print('go', flush=True)\n    time.sleep(600)")
    child = bench.start([cell], before=unshare)
    read_until(child, "go")
    runner = only_child(child.pid)
    os.kill(runner, signal.SIGTERM)
    done = bench.end(child)
    assert done.code == 75, done.log
    assert (done.folder / "checkpoint").exists()


def handles_sigterm(pid: int) -> bool:
    found = re.search(r"SigCgt:\s*([0-9a-f]+)", Path(f"/proc/{pid}/status").read_text())
    return found is not None and bool(int(found[1], 16) >> (signal.SIGTERM - 1) & 1)


def only_child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
