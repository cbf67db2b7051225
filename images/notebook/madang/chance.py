"""The states of the random generators, so that a resumed training draws what it would have drawn.

Nothing is imported here: a library that the notebook has not imported has drawn nothing.
"""

import random
import sys
from typing import Any


def now() -> dict[str, Any]:
    """States of Python's, NumPy's and torch's own generators; lists, numbers and tensors."""
    found: dict[str, Any] = {"python": random.getstate()}
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        state = numpy.random.get_state(legacy=False)
        # as a list: torch loads arrays only from a file that it trusts with code
        inner = {k: x.tolist() if hasattr(x, "tolist") else x for k, x in state["state"].items()}
        found["numpy"] = {**state, "state": inner}
    if torch is not None:
        found["torch"] = torch.get_rng_state()
        # asking would start CUDA, and take memory, where nothing has used it
        found["cuda"] = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return found


def restore(found: dict[str, Any]) -> None:
    """Let the generators go on from what `now` gave; of another number of GPUs, those there are."""
    random.setstate(found["python"])
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None and "numpy" in found:
        inner = found["numpy"]["state"]
        arrays = {k: numpy.array(x, "uint32") for k, x in inner.items() if isinstance(x, list)}
        numpy.random.set_state({**found["numpy"], "state": inner | arrays})
    if torch is not None and "torch" in found:
        torch.set_rng_state(found["torch"])
        for index, state in zip(range(torch.cuda.device_count()), found["cuda"], strict=False):
            torch.cuda.set_rng_state(state, index)


def state_of(value: Any) -> Any:
    """What of `value` is to be saved: its `state_dict()`, a generator's state, else itself."""
    if callable(getattr(value, "state_dict", None)):
        return value.state_dict()
    if hasattr(value, "bit_generator"):  # NumPy's Generator
        return value.bit_generator.state
    if callable(getattr(value, "get_state", None)) and callable(getattr(value, "set_state", None)):
        return value.get_state()
    return value


def put(state: Any, into: Any) -> None:
    """Give `into` what `state_of` took.

    Raises:
        TypeError: it takes no state.
    """
    if callable(getattr(into, "load_state_dict", None)):
        into.load_state_dict(state)
    elif hasattr(into, "bit_generator"):
        into.bit_generator.state = state
    elif callable(getattr(into, "set_state", None)):
        into.set_state(state)
    else:
        raise TypeError(
            f"a {type(into).__name__} takes no state; read it from what `load` returns"
        )
