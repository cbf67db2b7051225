"""Server-sent events. However many watch, the store is read by one task for each thing watched.

Each client has a place for one value, the newest: a slow client skips values and costs no memory.
"""

import asyncio
import codecs
import json
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from anyio import to_thread
from pydantic import TypeAdapter
from starlette.responses import StreamingResponse

from hub import metrics
from hub.core.runs import Run
from hub.errors import NotAllowed, Refusal
from hub.face import reasons
from hub.face.board import Seen, whose
from hub.face.caller import Caller

log = logging.getLogger("madang.stream")
KEEP_ALIVE = 15.0  # seconds; in once to twice this it is asked whether the caller is still allowed
PER_CALLER = 16  # open streams of one person: some tabs, some terminals
_LOG_START = 1 << 20  # bytes of an old log that a new client gets; the whole is at …/logs
_RETRY = "retry: 2000\n\n"
_KEEP_ALIVE = ": still here\n\n"
_RUN = TypeAdapter(Run)
T = TypeVar("T")
Again = Callable[[], Awaitable[Caller]]  # asks anew who calls; raises NotAllowed


class Feed(Generic[T]):
    """Reads something again and again while anybody watches it, and hands on what changed.

    Args:
        read: blocking; runs in a thread. An exception is logged and the last value stands.
        every: seconds between the end of one read and the start of the next, at least.
    """

    def __init__(self, read: Callable[[], T], every: float = 0.25) -> None:
        self._read = read
        self._every = every
        self._clients: set[asyncio.Queue[T]] = set()
        self._task: asyncio.Task[None] | None = None
        self._last: T | None = None

    @property
    def watched(self) -> int:
        """How many watch."""
        return len(self._clients)

    async def values(self, keep_alive: float) -> AsyncGenerator[T | None, None]:
        """The value now, then each change; None when nothing changed for `keep_alive` seconds."""
        queue: asyncio.Queue[T] = asyncio.Queue(maxsize=1)
        self._clients.add(queue)
        if self._last is not None:
            queue.put_nowait(self._last)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())
        try:
            while True:
                value: T | None = None
                with suppress(TimeoutError):
                    # not wait_for: it can lose a value that comes at the very time-out
                    async with asyncio.timeout(keep_alive):
                        value = await queue.get()
                yield value
        finally:
            self._clients.discard(queue)

    async def _watch(self) -> None:
        failed = ""
        while self._clients:
            begun = time.monotonic()
            try:
                value = await to_thread.run_sync(self._read)
                failed = ""
            except Exception as e:
                if str(e) != failed:
                    log.exception("the live state cannot be read")
                failed = str(e)
            else:
                if value != self._last:
                    self._last = value
                    for queue in self._clients:
                        _replace(queue, value)
            # a long log or a slow disk: never more than a quarter of the time is spent on reading
            await asyncio.sleep(max(self._every, 3 * (time.monotonic() - begun)))
        self._last = None  # the next to come must not be shown what was true long ago


def _replace(queue: asyncio.Queue[T], value: T) -> None:
    with suppress(asyncio.QueueEmpty):
        queue.get_nowait()
    queue.put_nowait(value)


@dataclass(frozen=True)
class Printed:
    """A run and what it has printed so far."""

    run: Run
    log: bytes


class Streams:
    """The live streams of one service.

    Args:
        look: reads what the page shows to these people; None is an operator.
        printed: reads one run and its log.
    """

    def __init__(
        self, look: Callable[[frozenset[str | None]], Seen], printed: Callable[[str], Printed]
    ) -> None:
        self.state = Feed(lambda: look(frozenset(self._watching.copy().values())))
        self._watching: dict[object, str | None] = {}  # for each stream, whose runs it shows
        self._printed = printed
        self._runs: dict[str, Feed[Printed]] = {}
        self._open: Counter[str] = Counter()
        metrics.STREAMS.set_function(self._open.total)

    def check(self, caller: Caller) -> None:
        """Refuse before the answer has begun.

        Raises:
            Refusal: 429, too many streams of this caller are open.
        """
        if self._open[_key(caller)] >= PER_CALLER:
            raise Refusal(
                "Too many live views are open ({most}). Close some tabs or terminals.",
                reason="too-many-streams", status=429, most=PER_CALLER,
            )

    # ---- events ----------------------------------------------------------------------------

    async def live(self, caller: Caller, language: str, again: Again) -> AsyncIterator[str]:
        """`state` events with what this caller may see, when that has changed; else `now`."""
        with self._place(caller), self._watch(caller) as watch:
            yield _RETRY
            sent = ""
            allowed = _allowed(self.state, caller, again)
            async with aclosing(allowed):
                async for value, seen_by in allowed:
                    watch(seen_by)
                    # a look from before this caller came has not their runs: the next one has
                    shown = (value and _live(value, seen_by, language)) or sent
                    now = json.dumps(datetime.now(UTC).isoformat())
                    # a comment is for tests and proxies; a page sees only events
                    yield f"{_KEEP_ALIVE}{event('now', now)}" if shown == sent else event(
                        "state", f'{{"now":{now},{shown}}}')
                    sent = shown

    async def follow(
        self, id: str, caller: Caller, language: str, again: Again
    ) -> AsyncIterator[str]:
        """`run` and `log` events of one run until it has ended, then `end`."""
        with self._place(caller), self._feed(id) as feed:
            yield _RETRY
            reader = _LogReader()
            shown: Run | None = None
            allowed = _allowed(feed, caller, again)
            async with aclosing(allowed):
                async for value, _ in allowed:
                    if value is None:
                        yield _KEEP_ALIVE
                        continue
                    if text := reader.read(value):
                        yield event("log", json.dumps(text))
                    if value.run != shown:
                        shown = value.run
                        yield event("run", run_json(shown, language))
                    if value.run.done:
                        yield event("end", json.dumps({"stage": value.run.stage}))
                        return

    @contextmanager
    def _place(self, caller: Caller) -> Iterator[None]:
        key = _key(caller)
        self._open[key] += 1
        try:
            yield
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]

    @contextmanager
    def _watch(self, caller: Caller) -> Iterator[Callable[[Caller], None]]:
        """The feed looks for this caller's runs; to be told again, because roles change."""
        key = object()

        def watch(now: Caller) -> None:
            self._watching[key] = whose(now)

        watch(caller)
        try:
            yield watch
        finally:
            del self._watching[key]

    @contextmanager
    def _feed(self, id: str) -> Iterator[Feed[Printed]]:
        """The feed of one run, shared by all who watch it and forgotten with the last."""
        feed = self._runs.setdefault(id, Feed(lambda: self._printed(id), every=1.0))
        try:
            yield feed
        finally:
            if not feed.watched:
                self._runs.pop(id, None)


def _key(caller: Caller) -> str:
    return f"{caller.kind}:{caller.name}"


class _Rights:
    """Asks now and then whether the caller still may watch; no news waits for the answer.

    Two hundred who are told of something at once must not all ask the hub first.
    """

    def __init__(self, caller: Caller, again: Again) -> None:
        self.caller = caller
        self.ended = False
        self._again = again

    async def watch(self) -> None:
        """Until the right to it has ended."""
        while not self.ended:
            # those who came at one time ask at different ones
            await asyncio.sleep(KEEP_ALIVE * random.uniform(1, 2))  # noqa: S311 - no secret
            try:
                self.caller = await self._again()
            except NotAllowed:
                self.ended = True
            except Refusal as e:
                log.info("a stream stays open unchecked: %s", e)


async def _allowed(
    feed: Feed[T], caller: Caller, again: Again
) -> AsyncGenerator[tuple[T | None, Caller], None]:
    """The feed's values for as long as the caller may have them; ends when not."""
    rights = _Rights(caller, again)
    watching = asyncio.create_task(rights.watch())
    try:
        async with aclosing(feed.values(KEEP_ALIVE)) as values:
            async for value in values:
                if rights.ended:
                    return
                if watching.done():
                    watching.result()  # a fault of ours: it must not go on unchecked
                yield value, rights.caller
    finally:
        watching.cancel()


class _LogReader:
    """What of a growing log a client has not had yet, as text; keeps cut characters together."""

    def __init__(self) -> None:
        self._at: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self, value: Printed) -> str:
        """The text that is new; may be empty."""
        if self._at is None or self._at > len(value.log):
            # a log that became shorter was rotated: go on from its end
            self._at = max(0, len(value.log) - _LOG_START) if self._at is None else len(value.log)
        text = self._decoder.decode(value.log[self._at:], final=value.run.done)
        self._at = len(value.log)
        return text


def _live(seen: Seen, caller: Caller, language: str) -> str:
    """What this caller sees; "" where the look was not for them."""
    return seen.board.for_caller(caller, language) if whose(caller) in seen.newest else ""


def run_json(run: Run, language: str) -> str:
    """A run in JSON, the same as the API answers."""
    return _RUN.dump_json(reasons.said(run, language)).decode()


def event(name: str, data: str) -> str:
    """One event. JSON has no raw line break, so one data line is enough."""
    return f"event: {name}\ndata: {data}\n\n"


def answer(events: AsyncIterator[str]) -> StreamingResponse:
    """The response; proxies are told not to hold it back."""
    return StreamingResponse(
        events, media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
