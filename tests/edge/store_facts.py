"""Slices, requests and runs for the store's tests, and the moves that tests make with them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from hub.core.lease import Kind, Observed, Request, State, check, step
from hub.core.mig import Slice, SliceKey
from hub.core.runs import Run, RunStage
from hub.edge.store import Store

NOW = datetime(2026, 3, 2, 9, 0, 0, 123456, tzinfo=UTC)


def cards(count: int, **rest: Any) -> tuple[Slice, ...]:
    return tuple(
        Slice(
            SliceKey("node", f"GPU-{i // 7:08x}-0000", "1g.5gb", i % 7), f"MIG-{i}",
            "NVIDIA A100-SXM4-40GB", i // 7, 1, 1, 4864, **rest,
        )
        for i in range(count)
    )


def request(id: str, *, asked_at: datetime = NOW, **rest: Any) -> Request:
    fields = {"user": id, "kind": Kind.SERVER, "name": "", "profile": "1g.5gb", "image": "image"}
    return Request(id=id, asked_at=asked_at, **{**fields, **rest})


def seen(store: Store, *slices: Slice, at: datetime = NOW, containers: Any = None) -> None:
    with store.write() as unit:
        unit.state, _ = step(unit.state, Observed(at, slices, containers or {}), at)


def move(store: Store, *events: Any, now: datetime = NOW) -> State:
    with store.write() as unit:
        for event in events:
            unit.state, _ = step(unit.state, event, now)
    state = store.read()
    check(state)
    return state


def put(store: Store, **parts: Any) -> None:
    """Write these parts of the state as they are."""
    with store.write() as unit:
        unit.state = replace(unit.state, **parts)


def run(id: str, **rest: Any) -> Run:
    fields: dict[str, Any] = {
        "user": "kim", "notebook": "n.ipynb", "profile": "1g.5gb", "image": "image",
        "parameters": {}, "stage": RunStage.WAITING, "asked_at": NOW, "folder": f"runs/{id}",
    }
    return Run(id=id, **{**fields, **rest})


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """What is sent to the database meanwhile, without BEGIN and COMMIT; one line per row."""
    said: list[str] = []

    def note(_c: Any, _cursor: Any, text: str, args: Any, _context: Any, many: Any) -> None:
        said.extend([text] * (len(args) if many else 1))

    engine = store._database._engine
    sa.event.listen(engine, "before_cursor_execute", note)
    yield said
    sa.event.remove(engine, "before_cursor_execute", note)
    said[:] = [x for x in said if x.split()[0] in {"SELECT", "INSERT", "UPDATE", "DELETE"}
               and "advisory" not in x]
