"""The kernel's process that is started ahead: a kernel like any other, or none; never left over."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from madang.ahead import Ahead
from nbformat.v4 import new_code_cell, new_notebook

from tests.images.bench import PYTHON, Bench

ABOUT = """
import importlib.util, json, os, sys
print(json.dumps({
    "ahead": "waiting.py" in open("/proc/self/cmdline").read(),
    "argv": os.path.basename(sys.argv[0]), "cwd": os.getcwd(), "path": sys.path,
    "isolated": sys.flags.isolated, "run": os.environ["MADANG_RUN"],
    "ours": importlib.util.find_spec("waiting") is not None,
    "stdin": os.readlink("/proc/self/fd/0"),
    "debugger": "debugpy" in sys.modules, "main": __name__,
}))
"""


def about(bench: Bench, notebook: object = None, **changes: object) -> dict[str, object]:
    done = bench.run(notebook or [ABOUT], **changes)
    assert done.code == 0, done.log
    said: dict[str, object] = json.loads(done.text(0))
    return said


def waiting(home: Path) -> list[int]:
    """Processes of this home that still wait to be a kernel."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            mine = f"HOME={home}\0".encode() in (folder / "environ").read_bytes()
            if mine and b"waiting.py" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def soon(what: Callable[[], object]) -> bool:
    end = time.monotonic() + 30
    while not what() and time.monotonic() < end:
        time.sleep(0.1)
    return bool(what())


def test_a_kernel_that_was_started_ahead_is_like_any_other(bench: Bench) -> None:
    said = about(bench)
    folder = str(bench.home / "runs/lab")
    assert said["ahead"]
    assert (said["argv"], said["cwd"], said["main"]) == (
        "ipykernel_launcher.py", folder, "__main__")
    assert (said["isolated"], said["run"], said["debugger"]) == (0, "r1", False)
    assert "" in said["path"], "modules beside the notebook are found"  # type: ignore[operator]
    assert not said["ours"], "and none of ours"
    assert said["stdin"] == "/dev/null"
    assert not waiting(bench.home)


def test_a_notebook_may_import_what_its_kernel_does_without(bench: Bench) -> None:
    done = bench.run(["import debugpy; print(debugpy.is_client_connected())"])
    assert done.code == 0, done.log
    assert done.text(0).splitlines()[-1] == "False"


@pytest.mark.parametrize("spec", [
    {"argv": ["python", "-X", "utf8", "-m", "ipykernel_launcher", "-f", "{connection_file}"]},
    {"argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
     "env": {"PYTHONHASHSEED": "0"}},
])
def test_a_kernel_of_another_kind_is_started_as_it_wants(
    bench: Bench, spec: dict[str, object]
) -> None:
    folder = bench.home / ".local/share/jupyter/kernels/mine"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(
        json.dumps({"display_name": "Mine", "language": "python", **spec})
    )
    book = new_notebook(
        cells=[new_code_cell(ABOUT)], metadata={"kernelspec": {**PYTHON, "name": "mine"}}
    )
    assert not about(bench, book)["ahead"]
    assert not waiting(bench.home), "what was started ahead has gone"


def test_a_refused_run_leaves_no_process(bench: Bench) -> None:
    assert bench.run("no notebook").code == 2
    assert not waiting(bench.home)


def test_who_started_it_is_killed_and_it_goes_too(bench: Bench) -> None:
    code = "from madang.ahead import Ahead; import time; a = Ahead(); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", code], env=bench.environment())
    assert soon(lambda: waiting(bench.home))
    child.kill()
    child.wait()
    assert soon(lambda: not waiting(bench.home))


@pytest.fixture
def ahead() -> Iterator[Ahead]:
    made = Ahead()
    yield made
    made.dismiss()
    made.dismiss()


def take(ahead: Ahead, *argv: str, **env: str) -> object:
    given = [sys.executable, "-m", "ipykernel_launcher", *argv]
    return ahead.take(given, env={**os.environ, **env}, cwd="/", stdout=1, stderr=2)


def test_one_that_has_died_is_not_taken(ahead: Ahead) -> None:
    assert ahead._process
    ahead._process.kill()
    ahead._process.wait()
    assert take(ahead) is None


def test_one_that_cannot_be_told_is_ended(ahead: Ahead) -> None:
    process = ahead._process
    ahead._line.close()
    assert take(ahead) is None
    assert process
    assert process.poll() is not None, "there would be two kernels"


def test_it_is_taken_once_and_told_as_much_as_there_is(
    ahead: Ahead, tmp_path: Path
) -> None:
    process = take(ahead, "--version", LONG="x" * 120_000, LONGER="y" * 120_000)
    assert isinstance(process, subprocess.Popen)
    assert process.wait(60) == 0
    assert take(ahead) is None
