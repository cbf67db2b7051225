"""The runner on real kernels: what it says, what it leaves behind, and that both are true."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

PACKAGE = Path(__file__).parents[2] / "images" / "notebook"
PYTHON = {"name": "python3", "display_name": "Python 3", "language": "python"}
SAVES_ITSELF = """
import os, time, pathlib
done = 0
try:
    {body}
except KeyboardInterrupt:
    pathlib.Path(os.environ["RUN_DIR"], "checkpoint").write_text(str(done))
    print("saved a checkpoint")
"""


def parameters(source: str) -> Any:
    return new_code_cell(source, metadata={"tags": ["parameters"]})


@dataclass
class Done:
    """A run that has ended."""

    code: int
    log: str
    folder: Path
    name: str

    @property
    def notebook(self) -> Any:
        return nbformat.read(self.folder / f"{self.name}.ipynb", 4)

    @property
    def statuses(self) -> list[str]:
        """Of the notebook's own cells, without the markers that papermill adds."""
        return [
            c.metadata.papermill.status for c in self.notebook.cells if "papermill" in c.metadata
        ]

    @property
    def record(self) -> dict[str, Any]:
        return json.loads((self.folder / "run.json").read_text())

    @property
    def said(self) -> str:
        """The runner's last word."""
        return self.log.strip().splitlines()[-1]


class Bench:
    """A home, and the runner in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.children: list[subprocess.Popen[str]] = []

    def job(self, notebook: Any, **changes: Any) -> dict[str, Any]:
        path = self.home / "input.ipynb"
        if isinstance(notebook, str):
            path.write_text(notebook)
        elif notebook is not None:
            if isinstance(notebook, list):
                cells = [new_code_cell(c) if isinstance(c, str) else c for c in notebook]
                notebook = new_notebook(cells=cells, metadata={"kernelspec": PYTHON})
            path.write_text(nbformat.writes(notebook))
        return {
            "id": "r1", "notebook": str(path), "name": "lab", "folder": "runs/lab",
            "parameters": {}, "cwd": "", "timeout": 0, "kernel": None, "record": {}, **changes,
        }

    def start(
        self, notebook: Any, before: tuple[str, ...] = (), **changes: Any
    ) -> subprocess.Popen[str]:
        job = self.home / "job.json"
        job.write_text(json.dumps(self.job(notebook, **changes)))
        child = subprocess.Popen(
            [*before, sys.executable, "-m", "madang.runner", str(job)], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.home,
            env={**os.environ, "HOME": str(self.home), "PYTHONPATH": str(PACKAGE)},
        )
        self.children.append(child)
        return child

    def end(self, child: subprocess.Popen[str], folder: str = "runs/lab") -> Done:
        log, _ = child.communicate(timeout=90)
        return Done(child.returncode, log, self.home / folder, "lab")

    def run(self, notebook: Any, **changes: Any) -> Done:
        return self.end(self.start(notebook, **changes))

    def interrupt(self, notebook: Any, when: str, signals: int = 1, **changes: Any) -> Done:
        """Run, and send SIGTERM when `when` has been printed."""
        child = self.start(notebook, **changes)
        said = read_until(child, when)
        for _ in range(signals):
            child.send_signal(signal.SIGTERM)
            time.sleep(0.3)
        done = self.end(child)
        return Done(done.code, said + done.log, done.folder, done.name)


def read_until(child: subprocess.Popen[str], text: str) -> str:
    assert child.stdout is not None
    said = ""
    while text not in said:
        line = child.stdout.readline()
        assert line, f"ended before {text!r}: {said}"
        said += line
    return said


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    for child in bench.children:
        if child.poll() is None:
            child.kill()
            child.wait()


# ---- a run that goes well -----------------------------------------------------------------


def test_a_run_uses_its_parameters_and_keeps_everything(bench: Bench) -> None:
    done = bench.run(
        [
            new_markdown_cell("# Title"), parameters("a = 1  # one\nb: float = 2.0\nc = 'x'"),
            "import os, madang\nprint(a, b, c)\n"
            "print(os.environ['RUN_DIR'], os.environ['RESUME'], os.environ['MADANG_RUN'])\n"
            "madang.record(accuracy=0.5)",
        ],
        parameters={"a": 7, "c": "나무 \"q\"\n$HOME"},
        record={"image": "madang/notebook", "image_digest": "sha256:1", "commit": "c0ffee",
                "slice": "1g.5gb@4", "node": "n", "lease": "r1", "user": "kim",
                "asked_at": "2026-01-01T00:00:00+00:00", "seed": 3},
    )
    assert done.code == 0, done.log
    assert done.said == "madang: succeeded 4 cells"
    assert [x for x in done.log.splitlines() if x.startswith("madang: cell")] == [
        f"madang: cell {i}/4" for i in (1, 2, 3, 4)
    ]
    printed = done.notebook.cells[3].outputs[0].text.splitlines()
    assert printed[0] == '7 2.0 나무 "q"'
    assert printed[2] == f"{done.folder} 0 r1"
    record = done.record
    assert record["parameters"] == {"a": 7, "c": "나무 \"q\"\n$HOME"}
    assert (record["image"], record["image_digest"], record["commit"]) == (
        "madang/notebook", "sha256:1", "c0ffee")
    assert (record["slice"], record["node"], record["lease"], record["user"], record["seed"]) == (
        "1g.5gb@4", "n", "r1", "kim", 3)
    assert (record["stage"], record["exit_code"], record["error"]) == ("succeeded", 0, None)
    assert (record["cells"], record["cells_done"]) == (4, 4)
    assert record["packages"]["papermill"] == "2.7.0"
    assert record["asked_at"] < record["started_at"] < record["ended_at"]
    assert 0 < record["duration_s"] < 60
    assert record["resources"]["peak_rss_mib"] > 20
    assert record["resources"]["gpu_memory_peak_mib"] is None
    assert record["metrics"] == {"accuracy": 0.5}
    assert done.statuses == ["completed"] * 4
    assert done.notebook.metadata.madang.stage == "succeeded"
    assert "TCP" not in done.log  # the kernel is on Unix sockets: no ports to race for


def test_it_runs_where_it_is_told_and_never_in_a_folder_of_another_run(bench: Bench) -> None:
    (bench.home / "course").mkdir()
    (bench.home / "runs/lab").mkdir(parents=True)
    (bench.home / "runs/lab/lab.ipynb").write_text("mine")
    done = bench.end(bench.start(["import os; print(os.getcwd())"], cwd="course"), "runs/lab-2")
    assert done.code == 0, done.log
    assert "madang: folder runs/lab-2" in done.log
    assert done.notebook.cells[0].outputs[0].text.strip() == str(bench.home / "course")
    assert (bench.home / "runs/lab/lab.ipynb").read_text() == "mine"


def test_without_a_kernelspec_it_is_python(bench: Bench) -> None:
    done = bench.run(new_notebook(cells=[parameters("a = 1"), new_code_cell("print(a)")]),
                     parameters={"a": 2})
    assert done.code == 0, done.log
    assert done.notebook.cells[2].outputs[0].text == "2\n"


def test_an_error_that_the_notebook_expects_is_none(bench: Bench) -> None:
    expected = new_code_cell("1/0", metadata={"tags": ["raises-exception"]})
    done = bench.run([expected, "print('on')"])
    assert (done.code, done.said) == (0, "madang: succeeded 2 cells")
    assert len(done.notebook.cells) == 2


def test_a_notebook_may_end_itself(bench: Bench) -> None:
    done = bench.run(["import sys; sys.exit(0)", "print('never')"])
    assert done.code == 0
    assert done.statuses == ["completed", "pending"]
    assert "ended itself in cell 1/2" in done.said


def test_refreshes_of_a_progress_bar_are_one_output(bench: Bench) -> None:
    source = ("import sys\nfor i in range(3000):\n    print(f'\\r{i:5d}', end='', flush=True)\n"
              "print()\nprint('a', file=sys.stderr)\nprint('after')")
    done = bench.run([source])
    assert done.code == 0, done.log
    streams = {o.name: o.text for o in done.notebook.cells[0].outputs}
    assert len(done.notebook.cells[0].outputs) <= 3
    assert "2999" in streams["stdout"]
    assert "1500" not in streams["stdout"]
    assert (done.folder / "lab.ipynb").stat().st_size < 5000
    assert len(done.log) < 1000


def test_the_log_is_bounded_and_cannot_be_forged(bench: Bench) -> None:
    done = bench.run(["print('x' * 100_000)\nprint('madang: cell 9/9')\nprint('\\x1b[31mred')"])
    lines = done.log.splitlines()
    assert max(map(len, lines)) < 2100
    assert "madang: cell 9/9" not in lines
    assert " madang: cell 9/9" in lines
    assert "red" in lines
    assert len(done.notebook.cells[0].outputs[0].text) > 100_000  # the notebook has it whole


def test_prints_between_plots_stay_between_them(bench: Bench) -> None:
    show = "from IPython.display import display, HTML\n"
    done = bench.run([show + "print('a'); display(HTML('<b>1</b>')); print('b')"])
    kinds = [o.get("text", "html").strip() for o in done.notebook.cells[0].outputs]
    assert kinds == ["a", "html", "b"]


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
    assert [o.get("text", o.get("ename")) for o in done.notebook.cells[1].outputs] == [
        "two\n", "DeadKernelError"]
    assert (done.record["stage"], done.record["error"]["cell"]) == ("kernel-died", 2)


def test_a_kernel_that_exits(bench: Bench) -> None:
    done = bench.run(["import os; os._exit(3)"])
    assert done.code == 138
    assert "exit code 3" in done.said


def test_out_of_time_keeps_what_there_is(bench: Bench) -> None:
    cell = "import time\nfor i in range(1000):\n    print('step', i, flush=True); time.sleep(.1)"
    began = time.monotonic()
    done = bench.run(["print('one')", cell, "print('three')"], timeout=6)
    assert 5.5 < time.monotonic() - began < 12
    assert done.code == 124, done.log
    assert done.said == "madang: timed-out timed-out in cell 2/3; saved."
    assert done.statuses == ["completed", "failed", "pending"]
    assert "step 3" in "".join(o.get("text", "") for o in done.notebook.cells[2].outputs) or (
        "step 3" in str(done.notebook.cells))
    assert done.record["stage"] == "timed-out"


# ---- SIGTERM ------------------------------------------------------------------------------

BODIES = {
    "printing": "print('go', flush=True)\n    while True: done += 1; print(done); time.sleep(.01)",
    "silent": "print('go', flush=True)\n    time.sleep(600)",
    "training": ("import numpy as np\n    w = np.ones((300, 300)); print('go', flush=True)\n"
                 "    while True: w = w @ w; w /= w.max(); done += 1"),
}


@pytest.mark.parametrize("kind", BODIES)
def test_sigterm_lets_the_notebook_save(bench: Bench, kind: str) -> None:
    began = time.monotonic()
    cells = ["print('one')", SAVES_ITSELF.format(body=BODIES[kind]), "print('never')"]
    done = bench.interrupt(cells, when="go")
    assert done.code == 75, done.log
    assert (done.folder / "checkpoint").read_text().isdigit()
    assert done.said == "madang: interrupted interrupted in cell 2/3; saved."
    assert done.statuses == ["completed", "completed", "pending"]
    assert "saved a checkpoint" in str(done.notebook.cells[1].outputs)
    assert (done.record["stage"], done.record["exit_code"]) == ("interrupted", 75)
    assert time.monotonic() - began < 30


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


@pytest.mark.parametrize(("signals", "grace"), [(2, 60), (1, 1.5)])
def test_a_deaf_cell_is_ended_and_still_saved(bench: Bench, signals: int, grace: float) -> None:
    began = time.monotonic()
    done = bench.interrupt([DEAF], "go", signals=signals, grace=grace)
    assert done.code == 75, done.log
    assert time.monotonic() - began < 25
    assert "did not stop in time" in done.said
    assert done.statuses == ["failed"]
    assert "no" in str(done.notebook.cells[0].outputs[0])


def test_sigterm_before_the_first_cell(bench: Bench) -> None:
    """At any moment from the signal handler on, a SIGTERM ends the run with 75."""
    for pause in (0.5, 1.2):
        child = bench.start(["import time; time.sleep(20)"], folder=f"runs/{pause}")
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


def only_child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


# ---- what is on disk ----------------------------------------------------------------------


def test_a_reader_never_sees_half_a_notebook(bench: Bench) -> None:
    """Also not while it is several megabytes and saved again and again."""
    cell = ("import time\nfor i in range(4):\n    print('x' * 2_000_000, flush=True)\n"
            "    time.sleep(1.2)")
    child = bench.start([cell])
    path = bench.home / "runs/lab/lab.ipynb"
    sizes: set[int] = set()
    polled = poll_until(child, lambda: sizes.add(len(json.dumps(json.loads(path.read_text())))), path)
    assert polled > 50
    assert len(sizes) >= 3  # it grew while the cell ran
    assert not list(path.parent.glob(".*"))


def poll_until(child: subprocess.Popen[str], look: Callable[[], object], path: Path) -> int:
    drain = threading.Thread(target=child.communicate, daemon=True)
    drain.start()
    count = 0
    while child.poll() is None:
        if path.exists():
            look()
            count += 1
        time.sleep(0.01)
    drain.join(10)
    assert child.returncode == 0
    return count


def test_what_was_done_is_saved_while_a_long_cell_is_silent(bench: Bench) -> None:
    child = bench.start(["print('early')", "import time; print('go', flush=True); time.sleep(60)"])
    read_until(child, "go")
    time.sleep(4.5)
    nb = nbformat.read(bench.home / "runs/lab/lab.ipynb", 4)
    assert nb.cells[0].outputs[0].text == "early\n"
    assert [c.metadata.papermill.status for c in nb.cells] == ["completed", "running"]
    assert json.loads((bench.home / "runs/lab/run.json").read_text())["stage"] == "running"
    child.terminate()
    assert bench.end(child).code == 75


def test_a_disk_that_is_full_at_the_end(bench: Bench) -> None:
    """The limit on a file's size gives EFBIG where a full disk gives ENOSPC: the same path."""
    cells = ["print('early')\nimport time; time.sleep(3.5)", "print('x' * 2_000_000)"]
    limit = ("prlimit", f"--fsize={300_000}")
    done = bench.end(bench.start(cells, before=limit))
    assert done.code == 1, done.log
    assert "lab.ipynb cannot be written: File too large" in done.said
    assert "what was saved last is still there" in done.said
    assert done.notebook.cells[0].outputs[0].text == "early\n"
    assert not list(done.folder.glob(".*"))


def test_a_disk_that_is_full_at_once(bench: Bench) -> None:
    done = bench.end(bench.start(["print('never')"], before=("prlimit", "--fsize=1000")))
    assert done.code == 1
    assert "cannot be written" in done.said
    assert "cell 1/1" not in done.log


# ---- what is refused before anything starts ------------------------------------------------


def test_what_cannot_be_run_is_refused(bench: Bench) -> None:
    nb = new_notebook(cells=[new_code_cell("1")])
    julia = new_notebook(cells=[], metadata={"kernelspec": {"name": "julia", "display_name": "J"}})
    known = [parameters("a = 1\nb: int = 2")]
    cases: list[tuple[Any, dict[str, Any], str]] = [
        ("{not json", {}, "lab is not a notebook: it is not JSON"),
        ("[1, 2]", {}, "names no notebook format"),
        ('{"nbformat": 4}', {}, "lab is not a notebook"),
        (None, {"notebook": "/nowhere.ipynb"}, "No such file"),
        (julia, {}, "The kernel “julia” is not in this image; the image has: python3."),
        (nb, {"kernel": "ir"}, "“ir” is not in this image"),
        (nb, {"parameters": {"a": 1}}, "takes no parameters"),
        (known, {"parameters": {"epoch": 1}}, "does not know the parameter epoch. It knows: a, b."),
        (known, {"parameters": {"a;b": 1}}, "cannot be the name of a parameter"),
        (nb, {"folder": "../out"}, "must lie inside the home"),
        (nb, {"folder": "/etc/x"}, "must lie inside the home"),
        (nb, {"cwd": "nowhere"}, "There is no folder nowhere"),
        (nb, {"name": "a/b"}, "is no name"),
        (nb, {"timeout": "long"}, "malformed"),
    ]
    children = [(bench.home / str(i), case) for i, case in enumerate(cases)]
    for home, (notebook, changes, text) in children:
        home.mkdir()
        done = Bench(home).run(notebook, **changes)
        assert done.code == 2, (text, done.log)
        assert done.said.startswith("madang: failed "), done.log
        assert text in done.said, done.log
        assert not (home / "runs").exists()


def test_a_job_that_is_none(bench: Bench, tmp_path: Path) -> None:
    for text in ("", "[]", "{}", '{"id": 1}'):
        job = tmp_path / "j"
        job.write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "madang.runner", str(job)], capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(PACKAGE)}, check=False,
        )
        assert done.returncode == 2
        assert done.stdout.startswith("madang: failed The job")
        assert "Traceback" not in done.stderr
