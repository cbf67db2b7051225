"""A home and the runner in it, on real kernels."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

PACKAGE = Path(__file__).parents[2] / "images" / "notebook"
PYTHON = {"name": "python3", "display_name": "Python 3", "language": "python"}

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
    def cells(self) -> list[Any]:
        """The cells that ran or did not, without the markers that papermill adds at an error."""
        return [c for c in self.notebook.cells if "papermill" in c.metadata]

    @property
    def statuses(self) -> list[str]:
        return [c.metadata.papermill.status for c in self.cells]

    def text(self, index: int) -> str:
        """All that a cell printed."""
        return "".join(o.get("text", "") for o in self.cells[index].outputs)

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
            env=self.environment(),
        )
        self.children.append(child)
        return child

    def environment(self) -> dict[str, str]:
        # in a test ipykernel does not take what a process writes that a cell has started
        kept = {k: x for k, x in os.environ.items() if k != "PYTEST_CURRENT_TEST"}
        return {**kept, "HOME": str(self.home), "PYTHONPATH": str(PACKAGE)}

    def close(self) -> None:
        """Leave no process behind."""
        for child in self.children:
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()

    def write(self, name: str, text: str) -> Path:
        path = self.home / name
        path.write_text(text)
        return path

    def file(self, number: int, notebook: Any, changes: dict[str, Any]) -> Path:
        """A job in a file, with its own input."""
        job = self.job(notebook) | {"notebook": str(self.home / f"{number}.ipynb")} | changes
        if notebook is not None:
            (self.home / "input.ipynb").rename(self.home / f"{number}.ipynb")
        return self.write(f"{number}.json", json.dumps(job))

    def refusals(self, jobs: list[Path]) -> list[tuple[int, str]]:
        """Several jobs in one process, which imports papermill once: code and last word of each."""
        code = ("import sys; from pathlib import Path\n"
                "from madang.execution import run; from madang.stopping import Stop\n"
                "for x in sys.argv[1:]: print(run(Path(x), Stop()))")
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, jobs)], capture_output=True, text=True,
            env=self.environment(), check=False,
        )
        assert not done.returncode, done.stderr
        lines = done.stdout.splitlines()
        return [(int(code), said) for said, code in zip(lines[::2], lines[1::2], strict=True)]

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
