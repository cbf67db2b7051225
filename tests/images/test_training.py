"""A training in torch that is stopped in the middle and goes on: as if it had not been stopped."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.images.caged import HOME, Cage

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(400)]
# small, but with all that has a state: a schedule, dropout, weights that decay, random pieces
SMALL: dict[str, Any] = {"steps": 60, "layers": 1, "width": 32, "batch": 8}
LOOK = f"""
import json, sys, torch
found = [torch.load(f"{HOME}/runs/{{x}}/checkpoints/proverbs.ckpt", weights_only=True)
         for x in ("whole", "run")]
a, b = (x["state"] for x in found)
def leaves(x):
    if isinstance(x, dict):
        return [y for k in sorted(x, key=str) for y in leaves(x[k])]
    return [y for z in x for y in leaves(z)] if isinstance(x, (list, tuple)) else [x]
def same(x, y):
    return torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y
print(json.dumps({{
    "losses": [a["losses"], b["losses"]], "steps": [a["step"], b["step"]],
    "validations": [a["validations"], b["validations"]],
    "differ": sum(not same(x, y) for x, y in zip(leaves(a), leaves(b), strict=True)),
    "draws": same(*(x["rng"]["torch"] for x in found)),
    "leaves": len(leaves(a)),
}}))
"""


@pytest.fixture
def cage(tmp_path: Path) -> Iterator[Cage]:
    cage = Cage(tmp_path)
    yield cage
    cage.close()


def test_losses_after_a_stop_are_those_of_a_run_that_was_not_stopped(cage: Cage) -> None:
    whole = cage.run("proverbs-lm.ipynb", folder="whole", **SMALL)
    assert whole.code == 0, whole.log
    first = cage.interrupt("proverbs-lm.ipynb", "step 21/60", **SMALL)
    assert first.code == 75, first.log
    assert first.record["stage"] == "interrupted"
    stopped = json.loads(cage.python(
        f"import torch; print(torch.load('{HOME}/runs/run/checkpoints/proverbs.ckpt')"
        "['state']['step'])"))
    assert 21 <= stopped < 60, first.log
    second = cage.run("proverbs-lm.ipynb", attempt=2, **SMALL)
    assert second.code == 0, second.log
    assert f"resumed from {HOME}/runs/run/checkpoints/proverbs.ckpt" in second.log
    found = json.loads(cage.python(LOOK))
    print(f"stopped after step {stopped}:", found["losses"][0][stopped - 2:stopped + 3],
          found["losses"][1][stopped - 2:stopped + 3])
    assert found["steps"] == [60, 60]
    assert len(found["losses"][0]) == 60
    assert found["losses"][0] == found["losses"][1]  # each step, to the last bit
    assert found["validations"][0] == found["validations"][1]
    assert found["leaves"] > 100
    assert (found["differ"], found["draws"]) == (0, True)  # weights, optimizer, schedule, chance
    assert second.record["metrics"] == whole.record["metrics"]


TORCH = """
import os, random, sys, warnings, zipfile
import numpy, torch, madang
warnings.simplefilter("error")
ckpt = madang.Checkpoint("a")
model, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
draw, dice = torch.Generator().manual_seed(3), numpy.random.default_rng(1)
ckpt.save(model=model, draw=draw, dice=dice, epoch=3)
def chances():
    return [random.random(), numpy.random.rand(), torch.rand(1).item(),
            torch.rand(1, generator=draw).item(), dice.random()]
drawn = chances()
assert torch.load(ckpt.path, weights_only=True)["state"]["epoch"] == 3  # no code in it
state = ckpt.load(model=other, draw=draw, dice=dice)
assert chances() == drawn
assert torch.equal(model.weight, other.weight) and state["epoch"] == 3
# an array, and an object of a class, are kept too
ckpt.save(array=numpy.arange(3), name=numpy.float64(0.5), parts=[torch.nn.ReLU()])
state = ckpt.load()
assert state["array"].tolist() == [0, 1, 2] and type(state["parts"][0]) is torch.nn.ReLU
# one bit of a weight, which torch itself does not notice
data = bytearray(ckpt.path.read_bytes())
data[data.index(numpy.arange(3).tobytes())] ^= 1
ckpt.path.write_bytes(data)
torch.load(ckpt.path, weights_only=False)
with warnings.catch_warnings(record=True) as found:
    warnings.simplefilter("always")
    assert ckpt.load()["epoch"] == 3
assert "is damaged" in str(found[0].message), found
# figures are taken as numbers
madang.record(
    loss=torch.tensor(0.5, requires_grad=True), many=torch.arange(3), one=numpy.float32(0.25),
    rows=numpy.eye(2), yes=numpy.bool_(True), whole=numpy.int64(3), none=torch.tensor(float("nan")),
)
madang.progress(numpy.int64(1), torch.tensor(2))
print(open(os.environ["RUN_DIR"] + "/metrics.json").read().replace("\\n", ""))
"""


def test_states_of_torch_and_numpy_come_back_and_their_values_are_figures(cage: Cage) -> None:
    said = cage.python(TORCH, RUN_DIR=HOME, RESUME="1")
    assert json.loads(said.splitlines()[-1]) == {
        "loss": 0.5, "many": [0, 1, 2], "one": 0.25, "rows": [[1, 0], [0, 1]], "yes": True,
        "whole": 3, "none": "nan",
    }
