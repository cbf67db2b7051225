"""How a stop reaches a training between two steps, and what is saved then."""

import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from madang.checkpoint import Checkpoint


@pytest.fixture
def ckpt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    monkeypatch.setenv("RUN_DIR", str(tmp_path))
    monkeypatch.setenv("RESUME", "1")
    return Checkpoint("train")


@pytest.fixture(autouse=True)
def interrupts_are_as_before() -> Iterator[None]:
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def stopped(work: Callable[[], None]) -> str:
    with pytest.raises(KeyboardInterrupt) as found:
        work()
    return str(found.value)


def ask() -> None:
    signal.raise_signal(signal.SIGINT)


def test_a_stop_waits_for_the_step_and_saves_it(ckpt: Checkpoint) -> None:
    done = []

    def train() -> None:
        with ckpt.interruptible(every=1000) as keep:
            for step in range(1000):
                if step == 2:
                    ask()
                done.append(step)  # the rest of the step
                keep(step=step)

    assert stopped(train) == f"stopped as asked; the state is saved in {ckpt.path}"
    assert done == [0, 1, 2]
    assert ckpt.load() == {"step": 2}


def test_a_step_that_takes_too_long_is_cut_off(ckpt: Checkpoint) -> None:
    def train() -> None:
        with ckpt.interruptible(every=1000, patience=0.3) as keep:
            keep(step=1)
            keep(step=2)
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
            time.sleep(60)

    began = time.monotonic()
    stopped(train)
    assert time.monotonic() - began < 55
    assert ckpt.load() == {"step": 1}  # what was saved last


def test_asked_twice_it_stops_at_once(ckpt: Checkpoint) -> None:
    def train() -> None:
        with ckpt.interruptible(patience=1000):
            ask()
            ask()
            pytest.fail("went on")

    stopped(train)


def test_the_end_of_the_block_is_saved_too(ckpt: Checkpoint) -> None:
    with ckpt.interruptible(every=1000) as keep:
        for step in range(5):
            keep(step=step)
    assert ckpt.load() == {"step": 4}


def test_a_stop_after_the_last_step_is_not_lost(ckpt: Checkpoint) -> None:
    def train() -> None:
        with ckpt.interruptible(every=1000) as keep:
            keep(step=1)
            keep(step=2)
            ask()

    stopped(train)
    assert ckpt.load() == {"step": 2}


def test_an_error_is_not_saved_as_a_step(ckpt: Checkpoint) -> None:
    def train() -> None:
        with ckpt.interruptible(every=1000) as keep:
            keep(step=1)
            keep(step=2)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    assert ckpt.load() == {"step": 1}


def test_it_is_saved_now_and_then(ckpt: Checkpoint) -> None:
    with ckpt.interruptible(every=0) as keep:
        for step in range(3):
            keep(step=step)
            assert ckpt.load() == {"step": step}


def test_a_disk_that_is_full_does_not_end_the_training(
    ckpt: Checkpoint, recwarn: pytest.WarningsRecorder
) -> None:
    ckpt.path.parent.write_text("a file in the folder's place")
    with ckpt.interruptible(every=0) as keep:
        for step in range(3):
            keep(step=step)
    assert [str(x.message) for x in recwarn] == [
        "the checkpoint train cannot be saved: File exists"
    ]


def test_a_stop_that_cannot_be_saved_says_so(ckpt: Checkpoint) -> None:
    def train() -> None:
        with ckpt.interruptible() as keep:
            ask()
            keep(step=1)

    ckpt.path.parent.write_text("a file in the folder's place")
    with pytest.warns(RuntimeWarning, match="cannot be saved"):
        assert "could not be saved" in stopped(train)


def test_what_cannot_be_saved_is_said_at_the_first_step(ckpt: Checkpoint) -> None:
    def train() -> None:
        with ckpt.interruptible(every=1000) as keep:
            keep(function=lambda: None)
            pytest.fail("went on")

    with pytest.raises((AttributeError, pickle.PicklingError)):
        train()


def test_a_worker_that_was_forked_goes_on(ckpt: Checkpoint) -> None:
    """Jupyter interrupts the whole group; the step still needs its data."""
    def train() -> None:
        with ckpt.interruptible(every=1000) as keep:
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                time.sleep(0.3)
                os.write(writing, b"data")
                os._exit(0)
            for pid in (child, os.getpid()):
                os.kill(pid, signal.SIGINT)
            assert os.read(reading, 4) == b"data"
            os.waitpid(child, 0)
            keep(step=1)

    stopped(train)
    assert ckpt.load() == {"step": 1}


def test_beside_the_main_thread_it_saves_all_the_same(ckpt: Checkpoint) -> None:
    def work() -> None:
        with ckpt.interruptible() as keep:
            keep(step=1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ckpt.load() == {"step": 1}
