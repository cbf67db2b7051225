"""`madang.Checkpoint`: the state of a training, saved in a run's folder and taken up from there."""

import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from madang import chance, kept
from madang.interrupts import Interrupts
from madang.kept import Unfit

FOLDER = "checkpoints"
EVERY = 60.0  # seconds between two that are saved without being asked
PATIENCE = 10.0  # seconds for a step to end; a run has 20 in all before its kernel is killed


class Checkpoint:
    """One state, by its name, in the folder `checkpoints` of the run; in Lab, of where one is.

        ckpt = madang.Checkpoint("train")
        state = ckpt.load(model=model, optimizer=optimizer) or {"step": 0, "losses": []}
        losses = state["losses"]
        with ckpt.interruptible() as keep:
            for step in range(state["step"], steps):
                ...
                keep(model=model, optimizer=optimizer, step=step + 1, losses=losses)

    A run that gives its slice back is stopped in the middle and begun anew later. With this it
    goes on with the step after the last one, and as if it had never been stopped: the states of
    Python's, NumPy's and torch's random generators are saved too.
    """

    def __init__(self, name: str = "train", folder: str | Path | None = None) -> None:
        if not name or name.startswith(".") or "/" in name or not name.isprintable():
            raise ValueError(f"{name!r} is no name for a checkpoint")
        place = Path(folder) if folder else Path(os.environ.get("RUN_DIR", "")) / FOLDER
        self.name = name
        self.path = (place / f"{name}.ckpt").absolute()

    def save(self, *, rng: bool = True, **state: Any) -> Path:
        """Save `state` now, atomically, and keep the state saved before; where it lies.

        Args:
            rng: also the states of the random generators.
            state: whatever has a `state_dict()` (models, optimizers, schedulers) by that, a
                generator by its state, all else as it is.

        Raises:
            OSError: no space left, or not writable; what was saved before is still there.
        """
        content = {
            "name": self.name, "state": {k: chance.state_of(v) for k, v in state.items()},
            "rng": chance.now() if rng else None,
        }
        kept.write(self.path, content)
        return self.path

    def load(self, **into: Any) -> dict[str, Any] | None:
        """What was saved last; None where there is nothing, and in a run that begins anew.

        Call it just before the loop: what draws random numbers after it draws other ones than it
        did at first. A file that is torn, or somebody else's, is passed over with a warning, and
        the one before is taken.

        Args:
            into: models, optimizers and generators that get their part of the state.

        Raises:
            KeyError: that part was not saved.
            TypeError: one of them takes no state.
        """
        if os.environ.get("RESUME") != "1":
            return None
        found = self._sound()
        if found is None:
            return None
        state: dict[str, Any] = found["state"]
        missing = [k for k in into if k not in state]
        if missing:
            raise KeyError(f"{self.path.name} holds {', '.join(state)}, not {', '.join(missing)}")
        for name, target in into.items():
            chance.put(state[name], target)
        if found["rng"] is not None:
            chance.restore(found["rng"])
        return state

    def _sound(self) -> dict[str, Any] | None:
        for path in (self.path, kept.previous(self.path)):
            try:
                found = kept.read(path)
            except FileNotFoundError:
                continue
            except (Unfit, OSError) as e:
                warnings.warn(f"{path} is passed over: {e}", RuntimeWarning, stacklevel=3)
                continue
            if found.get("name") == self.name:
                print(f"resumed from {path}")
                return found
            warnings.warn(f"{path} is of another checkpoint", RuntimeWarning, stacklevel=3)
        return None

    @contextmanager
    def interruptible(
        self, every: float = EVERY, patience: float = PATIENCE
    ) -> Iterator["Keep"]:
        """A block that a stop ends between two steps, with all saved.

        The block gets a function to call after each step, with what `save` takes. It saves every
        `every` seconds, and when a stop was asked for (the interrupt of Lab's stop button, or a
        run that has to give its slice back): then the cell ends in KeyboardInterrupt there. The
        state of the last step is also saved at the end of the block.

        A step that takes longer than `patience` seconds is cut off where it is, and what was
        saved last is what there is; so is one when the stop is asked for twice.

        Raises:
            KeyboardInterrupt: a stop was asked for.
        """
        keep = Keep(self, every)
        with Interrupts(patience) as keep.interrupts:
            yield keep
            keep.last()
        # asked for after the last step
        keep.stop_if_asked()


class Keep:
    """The function that a block of `interruptible` calls after each step."""

    interrupts: Interrupts

    def __init__(self, checkpoint: Checkpoint, every: float) -> None:
        self._checkpoint = checkpoint
        self._every = every
        # the first is saved at once: what cannot be saved is said now, not after a night
        self._saved = -every
        self._unsaved: dict[str, Any] | None = None
        self._complained = False

    def __call__(self, **state: Any) -> None:
        """All is whole here: save if it is time, and stop if that was asked for."""
        self._unsaved = state
        if self.interrupts.asked or time.monotonic() - self._saved >= self._every:
            self.last()
        self.stop_if_asked()

    def last(self) -> None:
        """Save what was given last, if it is not saved. A full disk must not end a training."""
        if self._unsaved is None:
            return
        try:
            self._checkpoint.save(**self._unsaved)
        except OSError as e:
            if not self._complained:
                self._complained = True
                why = f"the checkpoint {self._checkpoint.name} cannot be saved: {e.strerror or e}"
                warnings.warn(why, RuntimeWarning, stacklevel=3)
        else:
            self._unsaved, self._complained = None, False
        self._saved = time.monotonic()

    def stop_if_asked(self) -> None:
        """End the cell if a stop was asked for.

        Raises:
            KeyboardInterrupt: it was.
        """
        if self.interrupts.asked:
            done = "could not be saved in" if self._unsaved else "is saved in"
            raise KeyboardInterrupt(f"stopped as asked; the state {done} {self._checkpoint.path}")
