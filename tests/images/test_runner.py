"""The runner on real kernels: what it says, what it leaves behind, and that both are true."""

import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from madang.files import set_aside
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests.images.bench import Bench, parameters, read_until

# ---- a run that goes well -----------------------------------------------------------------


def test_a_run_uses_its_parameters_and_keeps_everything(bench: Bench) -> None:
    done = bench.run(
        [
            new_markdown_cell("# Title"), parameters("a = 1  # one\nb: float = 2.0\nc = 'x'"),
            "import os, madang\nprint(a, b, c)\n"
            "print(os.environ['RUN_DIR'], os.environ['RESUME'], os.environ['MADANG_RUN'])\n"
            "madang.record(accuracy=0.5)",
        ],
        parameters={"a": 7, "c": '나무 "q"\n$HOME'},
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
    assert record["parameters"] == {"a": 7, "c": '나무 "q"\n$HOME'}
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


def test_a_second_attempt_goes_on_beside_what_the_first_has_saved(bench: Bench) -> None:
    cell = """
import os, pathlib, time
kept = pathlib.Path(os.environ["RUN_DIR"], "checkpoint")
try:
    print("from", kept.read_text() if kept.exists() else 0, os.environ["RESUME"], flush=True)
    time.sleep(0 if kept.exists() else 600)
except KeyboardInterrupt:
    kept.write_text("7")
"""
    other = bench.home / "runs/lab"
    other.mkdir(parents=True)  # somebody's; so the run's own is runs/lab-2
    first = bench.interrupt([cell, "2"], "from 0 0")
    assert first.code == 75, first.log
    done = bench.end(bench.start([cell, "2"], attempt=2), "runs/lab-2")
    assert done.code == 0, done.log
    assert "madang: attempt 2\n" in done.log
    assert done.text(0) == "from 7 1\n"
    assert (done.record["attempt"], done.record["stage"]) == (2, "succeeded")
    earlier = nbformat.read(done.folder / "lab.attempt-1.ipynb", 4)
    assert earlier.metadata.madang.stage == "interrupted"
    kept = json.loads((done.folder / "run.attempt-1.json").read_text())
    assert (kept["attempt"], kept["stage"]) == (1, "interrupted")
    assert not list(other.iterdir())


def test_what_an_earlier_attempt_left_is_never_written_over(tmp_path: Path) -> None:
    for text in "ab":
        (tmp_path / "lab.ipynb").write_text(text)
        set_aside(tmp_path / "lab.ipynb", "attempt-1")
    set_aside(tmp_path / "lab.ipynb", "attempt-1")
    assert {x.name: x.read_text() for x in tmp_path.iterdir()} == {
        "lab.attempt-1.ipynb": "a", "lab.attempt-1-2.ipynb": "b",
    }


def test_a_second_attempt_without_a_first_begins_anew(bench: Bench) -> None:
    (bench.home / "runs/lab").mkdir(parents=True)
    (bench.home / "runs/lab/run.json").write_text('{"id": "another"}')
    done = bench.end(
        bench.start(["import os; print(os.environ['RESUME'])"], attempt=3), "runs/lab-2"
    )
    assert done.code == 0, done.log
    assert done.text(0) == "0\n"
    assert (bench.home / "runs/lab/run.json").read_text() == '{"id": "another"}'


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
    source = ("import sys\nfor i in range(6000):\n    print(f'\\r{i:5d}', end='', flush=True)\n"
              "print()\nprint('a', file=sys.stderr)\nprint('after')")
    done = bench.run([source])
    assert done.code == 0, done.log
    streams = {o.name: o.text for o in done.notebook.cells[0].outputs}
    assert len(done.cells[0].outputs) <= 3
    assert "5999" in streams["stdout"]
    assert "3000" not in streams["stdout"]
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


# ---- what is on disk ----------------------------------------------------------------------


def test_a_reader_never_sees_half_a_notebook(bench: Bench) -> None:
    """Also not while it is several megabytes and saved again and again."""
    cell = ("import time\nfor i in range(4):\n    print('x' * 2_000_000, flush=True)\n"
            "    time.sleep(1.2)")
    child = bench.start([cell])
    path = bench.home / "runs/lab/lab.ipynb"
    sizes: set[int] = set()
    polled = poll_until(child, lambda: sizes.add(len(str(json.loads(path.read_text())))), path)
    assert polled > 20
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
    jobs = [bench.file(i, nb, changes) for i, (nb, changes, _) in enumerate(cases)]
    jobs += [bench.write(f"{i}.job", t) for i, t in enumerate(("", "[]", "{}", '{"id": 1}'))]
    texts = [text for _, _, text in cases] + ["The job"] * 4
    done = bench.refusals(jobs)
    assert len(done) == len(texts)
    for (code, said), text in zip(done, texts, strict=True):
        assert code == 2, said
        assert said.startswith("madang: failed "), said
        assert text in said
    assert not (bench.home / "runs").exists()


def test_the_exit_code_of_a_refusal(bench: Bench) -> None:
    done = bench.run("{not json")
    assert (done.code, done.said[:37]) == (2, "madang: failed lab is not a notebook:")
