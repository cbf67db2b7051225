"""Checkpoints without torch: what is kept and comes back, and what is passed over."""

import os
import pickle
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import madang
import pytest
from madang import checkpoint, kept
from madang.checkpoint import Checkpoint

from tests.images.bench import PACKAGE, Bench

STEPS = 40
# a walk that depends on every random number before it
TRAINING = f"""
import random, time, madang
random.seed(7)
ckpt = madang.Checkpoint("walk")
state = ckpt.load() or {{"step": 0, "x": 0.0, "losses": []}}
x, losses = state["x"], state["losses"]
with ckpt.interruptible(every=1000) as keep:
    for step in range(state["step"], {STEPS}):
        x += random.gauss(0, 1)
        losses.append(x * x)
        print("step", step + 1, flush=True)
        time.sleep(PAUSE)
        keep(step=step + 1, x=x, losses=losses)
print(losses)
"""


@pytest.fixture
def ckpt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    monkeypatch.setenv("RUN_DIR", str(tmp_path))
    monkeypatch.setenv("RESUME", "1")
    return Checkpoint("train")


# ---- a run that is stopped ----------------------------------------------------------------


def test_a_stopped_training_goes_on_as_if_it_had_not_been_stopped(bench: Bench) -> None:
    whole = bench.run([TRAINING.replace("PAUSE", "0")], folder="runs/whole", name="lab")
    whole.folder = bench.home / "runs/whole"
    cells = [TRAINING.replace("PAUSE", "0.05"), "print('never in the first attempt')"]
    first = bench.interrupt(cells, "step 10")
    assert first.code == 75, first.log
    assert "stopped as asked; the state is saved in" in first.log
    last = [x for x in first.log.splitlines() if x.startswith("step ")][-1]
    assert first.statuses == ["failed", "pending"]
    second = bench.run([cells[0].replace("0.05", "0")], attempt=2)
    assert second.code == 0, second.log
    begins = next(x for x in second.log.splitlines() if x.startswith("step "))
    assert int(begins.split()[1]) == int(last.split()[1]) + 1  # no step twice, none left out
    losses = [x.text(0).splitlines()[-1] for x in (whole, second)]
    assert losses[0] == losses[1]
    assert losses[0].count(",") == STEPS - 1


def test_a_run_that_begins_anew_takes_up_nothing(bench: Bench) -> None:
    cell = "import madang\nc = madang.Checkpoint('a')\nprint(c.load())\nc.save(x=1)"
    for number in ("1", "2"):
        done = bench.run([cell], id=number)
        folder = bench.home / ("runs/lab" if number == "1" else "runs/lab-2")
        assert "None" in done.log
        assert (folder / "checkpoints/a.ckpt").exists()


# ---- what is kept -------------------------------------------------------------------------


def test_what_was_saved_last_comes_back_and_so_does_chance(ckpt: Checkpoint) -> None:
    generator = random.Random(3)
    ckpt.save(epoch=1)
    ckpt.save(epoch=2, losses=[0.5, 0.25], pair=(1, {2: "b"}), generator=generator)
    drawn = random.random()
    state = ckpt.load()
    assert state is not None
    assert (state["epoch"], state["losses"], state["pair"]) == (2, [0.5, 0.25], (1, {2: "b"}))
    assert state["generator"].random() == generator.random()
    assert random.random() == drawn
    assert ckpt.save(rng=False, epoch=3) == ckpt.path
    other = random.random()
    assert ckpt.load() == {"epoch": 3}
    assert random.random() != other


def test_only_a_resumed_run_loads(ckpt: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    ckpt.save(epoch=1)
    assert ckpt.load() == {"epoch": 1}
    for value in ("0", ""):
        monkeypatch.setenv("RESUME", value)
        assert ckpt.load() is None
    monkeypatch.delenv("RESUME")
    assert ckpt.load() is None


class Model:
    """Anything with torch's two methods."""

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def state_dict(self) -> dict[str, float]:
        return {"weight": self.weight}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.weight = state["weight"]


def test_a_model_is_saved_by_its_state_and_gets_it_back(ckpt: Checkpoint) -> None:
    ckpt.save(model=Model(0.5), epoch=4)
    model = Model(0)
    assert ckpt.load(model=model) == {"model": {"weight": 0.5}, "epoch": 4}
    assert model.weight == 0.5
    with pytest.raises(KeyError, match=r"holds model, epoch, not optimizer"):
        ckpt.load(optimizer=model)
    with pytest.raises(TypeError, match="int takes no state"):
        ckpt.load(epoch=4)


def test_in_lab_it_lies_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUN_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    mine = Checkpoint("a")
    monkeypatch.chdir("/")
    assert mine.save(x=1) == tmp_path / "checkpoints/a.ckpt"


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".a", "a\nb"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name for a checkpoint"):
        Checkpoint(name)


# ---- what is passed over ------------------------------------------------------------------


def spoil_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def spoil_hole(path: Path) -> None:
    text = bytearray(path.read_bytes())
    at = text.index(b"marker")
    text[at:at + 6] = bytes(6)
    path.write_bytes(text)


def spoil_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"epoch": 9}))


def spoil_archive(path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "zipfile", "-c", str(path), str(path.parent)], check=True
    )


def spoil_content(path: Path) -> None:
    kept.write(path, {"state": {"epoch": 9}, "name": "other"})
    kept.previous(path).unlink()
    kept.previous(path).write_bytes(path.with_name("aside").read_bytes())


def spoil_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def spoil_mode(path: Path) -> None:
    path.chmod(0o666)


def spoil_owner(path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file away")
    os.chown(path, 4711, 4711)


def spoil_nothing_there(path: Path) -> None:
    path.unlink()


SPOILS = [x for n, x in list(globals().items()) if n.startswith("spoil_")]


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda x: x.__name__)
def test_one_that_cannot_be_used_is_passed_over_for_the_one_before(
    ckpt: Checkpoint, spoil: Callable[[Path], None], recwarn: pytest.WarningsRecorder
) -> None:
    ckpt.save(epoch=1)
    ckpt.path.with_name("aside").write_bytes(ckpt.path.read_bytes())
    ckpt.path.with_name("aside").chmod(0o600)
    ckpt.save(epoch=2, text="marker")
    spoil(ckpt.path)
    kept.previous(ckpt.path).chmod(0o600)
    assert ckpt.load() == {"epoch": 1}
    said = [str(x.message) for x in recwarn]
    assert len(said) == (0 if spoil is spoil_nothing_there else 1)
    assert all(str(ckpt.path) in x for x in said)
    # and the next one is saved where it was
    ckpt.save(epoch=3)
    assert ckpt.load() == {"epoch": 3}


def test_where_nothing_can_be_used_the_training_begins_anew(ckpt: Checkpoint) -> None:
    assert ckpt.load() is None
    ckpt.save(epoch=1)
    spoil_half(ckpt.path)
    with pytest.warns(RuntimeWarning, match="torn"):
        assert ckpt.load() is None


def test_a_folder_that_others_can_write_is_not_trusted(ckpt: Checkpoint) -> None:
    ckpt.save(epoch=1)
    ckpt.path.parent.chmod(0o777)
    with pytest.warns(RuntimeWarning, match="somebody else could have written it"):
        assert ckpt.load() is None


def test_a_save_that_fails_leaves_what_was_saved(ckpt: Checkpoint) -> None:
    ckpt.save(epoch=1)
    with pytest.raises((AttributeError, pickle.PicklingError)):
        ckpt.save(epoch=2, function=lambda: None)
    assert ckpt.load() == {"epoch": 1}
    assert {x.name for x in ckpt.path.parent.iterdir()} == {"train.ckpt"}


def test_a_writer_that_is_killed_leaves_what_was_saved(tmp_path: Path) -> None:
    code = (
        "import madang\nc = madang.Checkpoint('a')\n"
        "for i in range(10_000): c.save(step=i, data=bytes(5_000_000)); print(i, flush=True)"
    )
    env = {**os.environ, "PYTHONPATH": str(PACKAGE), "RUN_DIR": str(tmp_path), "RESUME": "1"}
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(3)]
        time.sleep(random.uniform(0, 0.02))
        child.kill()
        lines += child.stdout.readlines()
        child.wait()
        child.stdout.close()
        found = subprocess.run(
            [sys.executable, "-c", "import madang; print(madang.Checkpoint('a').load()['step'])"],
            env=env, capture_output=True, text=True, check=True)
        # the one that was told last, or the one under way
        assert int(found.stdout.split()[-1]) in {int(lines[-1]), int(lines[-1]) + 1}
        assert found.stderr == ""


def test_the_package_offers_it() -> None:
    assert madang.Checkpoint is checkpoint.Checkpoint
    used: Any = {x for x in madang.__all__ if not x.startswith("_")}
    assert used == {"Checkpoint", "glue", "progress", "record"}
