"""The notebooks that ship: how they are written, and that each runs in the image, top to bottom."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.images.caged import NIGHTLY, Cage, book

SHIPPED = sorted(
    x for x in NIGHTLY.parent.rglob("*.ipynb") if ".ipynb_checkpoints" not in x.parts
)
EXPERIMENTS = sorted(NIGHTLY.glob("*.ipynb"))
SHORT: dict[str, dict[str, Any]] = {
    "digits-cnn.ipynb": {"epochs": 2},
    "proverbs-lm.ipynb": {"steps": 20, "layers": 1, "width": 32},
    "learning-rate.ipynb": {"epochs": 3, "lr": 0.1, "seed": 3},
}
RECORDED = {
    "digits-cnn.ipynb": {"accuracy", "wrong", "weights", "device", "loss", "best_accuracy"},
    "proverbs-lm.ipynb": {"validation_loss", "bits_per_letter", "weights", "device", "loss"},
    "learning-rate.ipynb": {"valid_loss", "valid_accuracy", "test_accuracy", "loss", "best_epoch"},
}


def name(path: Path) -> str:
    return path.name


@pytest.fixture(scope="module")
def cage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cage]:
    cage = Cage(tmp_path_factory.mktemp("home"))
    yield cage
    cage.close()


# ---- how they are written -----------------------------------------------------------------


@pytest.mark.parametrize("path", SHIPPED, ids=name)
def test_a_shipped_notebook_is_clean(path: Path) -> None:
    found = book(path)
    nbformat.validate(found)
    assert (found.nbformat, found.nbformat_minor) == (4, 5)
    ids = [c["id"] for c in json.loads(path.read_text())["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in found.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
            ast.parse(cell.source)
        assert set(cell.metadata) <= {"tags"}
    assert set(found.metadata) == {"kernelspec", "language_info"}
    assert found.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_an_experiment_has_parameters_with_types_and_comments_and_a_seed(path: Path) -> None:
    (cell,) = [c for c in book(path).cells if "parameters" in c.metadata.get("tags", ())]
    lines = cell.source.splitlines()
    assert all(re.fullmatch(r"[a-z_]+: (int|float|str|bool) = \S+  # \S.*", x) for x in lines)
    assert any(x.startswith("seed: int = ") for x in lines)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_the_readme_tells_of_each_experiment_and_its_parameters(path: Path) -> None:
    (cell,) = [c for c in book(path).cells if "parameters" in c.metadata.get("tags", ())]
    known = [x.partition(":")[0] for x in cell.source.splitlines()]
    text = (NIGHTLY / "README.md").read_text()
    (row,) = [x for x in text.splitlines() if x.startswith(f"| `{path.name}`")]
    told = re.findall(r"`(\w+)`", row.split("|")[3])
    assert sorted(told) == sorted(known)


def test_every_experiment_is_run_here() -> None:
    assert {x.name for x in EXPERIMENTS} == set(SHORT)


# ---- that they run ------------------------------------------------------------------------


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_an_experiment_runs_without_a_network(cage: Cage, path: Path) -> None:
    done = cage.run(path.name, folder=path.stem, **SHORT[path.name])
    assert done.code == 0, done.log
    assert "Warning" not in done.log
    record = done.record
    assert set(record["metrics"]) == RECORDED[path.name]
    assert all(isinstance(x, int | float | str) for x in record["metrics"].values())
    assert record["steps_done"] == record["steps"] > 0
    outputs = [o for c in done.cells for o in c.get("outputs", ())]
    assert any("image/png" in o.get("data", ()) for o in outputs)
    assert (done.folder / "checkpoints").is_dir()
