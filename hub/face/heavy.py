"""Heavy routes have threads of their own.

FastAPI runs all plain functions in the same forty threads. A class that updates a course at once
would have them all, and who asks for a longer lease, or only who they are, would wait behind it.
"""

from collections.abc import Callable, Coroutine
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar
from weakref import WeakValueDictionary

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

from hub.face.caller import Caller

_AT_ONCE = 8
_OF_ONE = 2  # of one person: each may wait half a minute for the one before
_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")


class _Threads:
    """What one event loop has of them; who waits here holds none."""

    def __init__(self) -> None:
        self.all = CapacityLimiter(_AT_ONCE)
        self._own: WeakValueDictionary[tuple[str, str], CapacityLimiter] = WeakValueDictionary()

    def of(self, caller: Caller) -> CapacityLimiter:
        """One person's share; it lasts as long as somebody has it in hand."""
        return self._own.setdefault((caller.kind, caller.name), CapacityLimiter(_OF_ONE))


_threads: RunVar[_Threads] = RunVar("madang-heavy")


def heavy(route: Callable[_Given, _Made]) -> Callable[_Given, Coroutine[Any, Any, _Made]]:
    """The route of somebody, its `caller` or `visitor`, run in these threads.

    To FastAPI it has the same signature, so that its parameters and its answer stay as declared.
    It looks through the answer in the event loop, where a model, made in the thread, costs nothing.
    """

    @wraps(route)
    async def in_turn(*given: _Given.args, **named: _Given.kwargs) -> _Made:
        threads = _threads.get(None)
        if threads is None:
            threads = _Threads()
            _threads.set(threads)
        caller: Any = named.get("caller") or named["visitor"]
        async with threads.of(caller):
            return await to_thread.run_sync(partial(route, *given, **named), limiter=threads.all)

    return in_turn
