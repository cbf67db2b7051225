"""What one kernel works on, as its own messages tell; nothing of Jupyter's in it.

jupyter_server keeps a kernel's `execution_state` and `last_activity` too, but for another purpose:
every message counts there, also what an open tab sends by itself (completions, comms of widgets,
the memory meter), and where comms have a thread of their own (subshells of ipykernel 7), a widget's
"idle" hides that a cell still runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

_EXECUTE = "execute_request"
_MAY_WORK = {_EXECUTE, "comm_open", "comm_msg", "comm_close"}


@dataclass
class _Work:
    """One message from a front end that the kernel works on. `asked_for`: it is a cell's code."""

    began: datetime
    kind: str
    subshell: object
    asked_for: bool = False


@dataclass
class Heard:
    """One kernel: what it works on now, and when it was last at work.

    A cell's code is work from its first moment. What widgets send is work once it has kept the
    kernel busy for `long`: a button may start a training. A completion is none, however long.
    """

    long: timedelta
    active_at: datetime | None = None
    _works: dict[str, _Work] = field(default_factory=dict)

    def hear(
        self, kind: str, parent: Mapping[str, Any], state: str, now: datetime
    ) -> None:
        """One message from iopub.

        Args:
            kind: its `msg_type`.
            parent: header of the message that caused it, {} where none did.
            state: `execution_state` of a status message, else "".
            now: when it came.
        """
        if kind == "status":
            self._turn(parent, state, now)
        elif kind == "execute_input":
            self._begin(parent, now).asked_for = True
            self.active_at = now
        elif parent.get("msg_type") == _EXECUTE:
            # also of a thread that a cell has left behind
            self.active_at = now

    def busy(self, now: datetime) -> bool:
        """Whether it is at work now."""
        return any(self._counts(x, now) for x in self._works.values())

    def forget(self) -> None:
        """It is another process now: what the one before worked on has ended."""
        self._works.clear()

    def _turn(self, parent: Mapping[str, Any], state: str, now: datetime) -> None:
        if state == "busy":
            self._begin(parent, now)
        elif state == "idle":
            ended = self._works.pop(str(parent.get("msg_id", "")), None)
            if ended is not None and self._counts(ended, now):
                self.active_at = now
        else:  # starting, restarting
            self.forget()

    def _begin(self, parent: Mapping[str, Any], now: datetime) -> _Work:
        id, kind, subshell = (
            str(parent.get("msg_id", "")), str(parent.get("msg_type", "")),
            parent.get("subshell_id"),
        )
        if id not in self._works:
            if kind == _EXECUTE:
                self._end_before(subshell)
            self._works[id] = _Work(now, kind, subshell)
        return self._works[id]

    def _end_before(self, subshell: object) -> None:
        """Cells run one after another: whoever still seems to run lost its "idle" on the way."""
        for id, work in list(self._works.items()):
            if work.kind == _EXECUTE and work.subshell == subshell:
                del self._works[id]

    def _counts(self, work: _Work, now: datetime) -> bool:
        return work.asked_for or (work.kind in _MAY_WORK and now - work.began >= self.long)
