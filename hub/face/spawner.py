"""SliceSpawner: a person's server on one slice. It asks the broker and Docker; no policy in it.

    form → run_pre_spawn_hook: ask, wait for the grant → start: make, start, see it answer
         → poll: is it there? → stop, or run_post_stop_hook where it ended by itself

A cancelled start is *not* a withdrawal: JupyterHub cancels when the person gives up and also when
the hub stops, and in the second case the place in the line is kept. Only `stop` withdraws, which
JupyterHub calls a second after a person's cancel and never when the hub stops.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from markupsafe import escape
from traitlets import default

from hub import metrics
from hub.broker import Broker
from hub.config import Settings
from hub.containers import ContainerOptions
from hub.core.forecast import Place
from hub.core.lease import Kind, Lease
from hub.core.sizes import Offer
from hub.errors import Refusal, Unknown
from hub.face import form, lastwords, reasons, words
from hub.face.booting import Booting
from hub.face.calls import Threads
from hub.face.container import ContainerSpawner
from hub.face.line import Line, groups_of
from hub.face.refused import Refused, refused
from hub.handout import Handouts
from hub.publishing import Publishing

_COURSE_THREADS = 4
_CHANGE = 0.25  # seconds between two looks whether there is something to tell
_LOOK_BACK = 15  # seconds for the last words of a failed start


class SliceSpawner(ContainerSpawner):
    """One server of one person. `bound` gives it the settings, the broker and the threads."""

    broker: Broker
    gate: asyncio.Semaphore
    handouts: Callable[[], Handouts]
    course_threads: ThreadPoolExecutor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.language = words.SOURCE
        self.choice = form.Choice(form.CPU, self.settings.default_image)
        self.line = Line(
            self.broker, self.calls, user=self.user.name if self.user else "", server=self.name,
            tell=self._tell_place,
        )
        self.why_not = ""  # HTML, escaped: why the start failed that is being cleared away
        self._busy = False  # from the beginning of a start until it is up or cleared away
        self._event: dict[str, Any] = {}

    # ---- what the person chooses ---------------------------------------------------------------

    async def get_options_form(self) -> str:
        """The cards, in the language of the browser that asks."""
        self._listen("")
        offers: tuple[Offer, ...] = ()
        groups: tuple[str, ...] = ()
        problem = ""
        try:
            offers = await self.calls.store(self.broker.offers)
            groups = await self.calls.store(partial(groups_of, self.broker, self.user.name))
        except Refusal as e:
            problem = words.refusal(self.language, e)
        last = self.orm_spawner.user_options if self.orm_spawner else None
        made = form.build(self.settings, offers, last, problem, groups)
        return form.render(made, self.language)

    def run_options_from_form(self, form_data: dict[str, list[str]]) -> dict[str, object]:
        """User options from the posted form, checked."""
        return self._checked(partial(form.from_form, form_data))

    def options_from_query(self, query_data: dict[str, list[str]]) -> dict[str, object]:
        """User options from a link, checked."""
        return self._checked(partial(form.from_query, query_data))

    def _checked(self, parse: Callable[[], dict[str, object]]) -> dict[str, object]:
        try:
            return form.check(self.settings, parse()).options()
        except Refusal as e:
            raise refused(self.language, e) from e

    def _listen(self, before: str) -> None:
        """Learn the language: of the browser that asks, else the one chosen before."""
        request = getattr(self.handler, "request", None)
        accept = request.headers.get("Accept-Language") if request is not None else None
        if accept:
            self.language = words.choose(accept)
        elif before:
            self.language = before

    # ---- waiting in the line -------------------------------------------------------------------

    async def run_pre_spawn_hook(self) -> None:
        """Wait until a slice is granted; outside JupyterHub's start_timeout, and cancellable."""
        self._busy, self.cause = True, "cancelled"
        try:
            # again, because an API caller's options have not passed the form
            self.choice = form.check(self.settings, self.user_options)
            self._listen(self.choice.language)
            if self.choice.has_slice:
                options = {**self.choice.options(), "language": self.language}
                await self.line.pass_through(self.choice, options)
                self.say_stage(40, words.say(self.language, "You have a slice."))
            else:
                await self.line.clear("another choice was made")
        except Refusal as e:
            self.cause = e.message
            await self._clear_line()
            raise self._told(refused(self.language, e)) from e

    async def _clear_line(self) -> None:
        """Nobody waits for a start that was refused; `stop` knows only of what this hub asked."""
        try:
            await self.line.clear(self.cause)
        except (Refusal, Unknown) as e:
            self.log.warning("%s may still stand in the line: %s", self._log_name, e)

    def _tell_place(self, place: Place) -> None:
        now = datetime.now(UTC)
        told = partial(reasons.told_to_who_waits, place, now=now)
        earliest, latest = reasons.rounded(place.earliest, place.latest)
        self._event = {
            "progress": 10, "stage": "waiting", "position": place.position, "wait": place.wait,
            "message": words.text(self.language, told(reasons.clock(self.settings.timezone, now))),
            # the same for the page, which puts the browser's own time into it
            "timed": words.text(self.language, told(reasons.marked)),
            "earliest": earliest and earliest.isoformat(), "latest": latest and latest.isoformat(),
        }

    def say_stage(self, percent: int, message: str) -> None:
        """Tell the waiting page how far the start is; `message` is in the person's language."""
        self._event = {"progress": percent, "message": message, "stage": "starting"}

    def _told(self, failure: Refused) -> Refused:
        """The same, told to the pages at once: JupyterHub tells it when all is cleared away."""
        self.why_not = failure.jupyterhub_html_message or str(escape(failure.jupyterhub_message))
        self._event = {
            "progress": 100, "stage": "failed", "message": failure.jupyterhub_message,
            "html_message": self.why_not,
        }
        return failure

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """What happens, told when it changes. Each open tab has its own, so it only reads."""
        told: dict[str, Any] = {}
        while True:
            if self._event and self._event != told:
                told = self._event
                yield dict(told)
            await asyncio.sleep(_CHANGE)

    @default("progress_ready_hook")
    def _default_progress_ready_hook(self) -> Callable[..., dict[str, Any]]:
        return _only_when_up

    @default("apply_user_options")
    def _default_apply_user_options(self) -> Callable[..., None]:
        # `run_pre_spawn_hook` reads them; JupyterHub would warn that nobody does
        return lambda *_: None

    @property
    def is_up(self) -> bool:
        """Whether a start has come to its end, and nothing has ended the server since."""
        return bool(self.object_id) and not self._busy

    # ---- starting ------------------------------------------------------------------------------

    async def start(self) -> tuple[str, int]:
        """Make and start the container, and return its (address, port) when it answers.

        Raises:
            Refused: it did not start; says why, with the end of its log.
        """
        if self.gate.locked():
            say = words.say(self.language, "Others are starting just now; yours is among the next.")
            self.say_stage(45, say)
        # the time limit begins behind the gate: nobody's start fails because others start
        async with self.gate:
            booting, begun = Booting(self), time.monotonic()
            try:
                async with asyncio.timeout(self.settings.start_timeout):
                    address = await booting.run()
            except Exception as e:
                raise await self._explained(booting.explain(e), e) from e
            metrics.START.labels("server").observe(time.monotonic() - begun)
        self._busy, self.cause = False, "stopped"
        return address

    async def _explained(self, refusal: Refusal, error: Exception) -> Refused:
        """What the person reads about a failed start. `stop` removes the container after it."""
        self.cause = refusal.message
        kept = None
        try:
            async with asyncio.timeout(_LOOK_BACK):
                kept = await self.last_words()
        except (TimeoutError, Unknown) as e:
            self.log.warning("no last words of %s: %s", self._log_name, e)
        message = words.refusal(self.language, refusal)
        if kept is not None:
            message = f"{message} {lastwords.explain(self.language, kept)}".strip()
        self.log.warning("%s did not start: %s (%r)", self._log_name, refusal.detail, error)
        return self._told(Refused(
            message, reason=refusal.reason, detail=refusal.detail, status=refusal.status,
            html=lastwords.as_html(self.language, message, kept),
        ))

    def options_of(self, lease: Lease | None) -> ContainerOptions:
        """In a thread: what the broker wants this server's container to have."""
        return self.broker.container_options(lease, user=self.user.name, kind=Kind.SERVER)

    # ---- looking -------------------------------------------------------------------------------

    async def poll(self) -> str | int | None:
        """None: it runs, or nobody can say. Only absence and a seen exit are "not running".

        None too while a start is under way, so that JupyterHub calls `stop` after a failed one.
        """
        if self._busy:
            return None
        if not self.object_id:
            return 0  # its start never ended, as far as this hub knows
        try:
            found = await self.get_object()
        except Unknown as e:
            self.log.warning("Docker does not say whether %s runs: %s", self._log_name, e)
            return None
        if found is None:
            return 0
        state = found["State"]
        return None if state["Running"] else f"exit code {state['ExitCode']}"

    # ---- stopping ------------------------------------------------------------------------------

    async def stop(self, now: bool = False) -> None:  # noqa: FBT001, FBT002 - JupyterHub's
        """End the server, or the start that was given up: no container of ours is left.

        The lease is ended even where the removal failed: to say so is a claim, not a proof. The
        slice stays taken until the tick has seen the container gone, and the tick removes it.
        """
        # a cancelled start has left its last call running: a container made by it must be found
        await self.calls.quiet()
        try:
            await self.take_down(now=now)
        finally:
            self._busy = False
            await self.line.leave(self.cause)

    async def run_post_stop_hook(self) -> None:
        """Clear up after a server that ended by itself: JupyterHub calls no `stop` for it."""
        if not (self.line.lease_id or self.object_id or await self._unpinned_leftover()):
            return
        self.cause = "its server exited"
        try:
            await self.take_down(now=True)
        finally:
            # the tick may have been faster, and has kept what the container said
            lastwords.adopt(self.settings.data, self.object_name, self.line.lease_id)
            await self.line.leave(self.cause)

    async def _unpinned_leftover(self) -> bool:
        """Whether a hub that died during a start left a container without a slice.

        One with a slice is the tick's, and the next start's.
        """
        try:
            found = await self.get_object()
        except Unknown:
            return False
        return found is not None and not found["Config"]["Labels"].get("madang.lease")

    # ---- what JupyterHub keeps for us ----------------------------------------------------------

    def get_state(self) -> dict[str, Any]:
        """With the lease, so that a restarted hub can end it."""
        state: dict[str, Any] = super().get_state()
        if self.object_id:
            state |= {"lease_id": self.line.lease_id, "language": self.language}
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """What an earlier hub kept."""
        super().load_state(state)
        self.line.lease_id = state.get("lease_id", "")
        self.language = state.get("language", words.SOURCE)
        self.cause = "stopped"

    def clear_state(self) -> None:
        """Nothing is remembered of the server before."""
        super().clear_state()
        self.object_id, self.line.lease_id, self._event, self.why_not = "", "", {}, ""


def bound(settings: Settings, broker: Broker) -> type[SliceSpawner]:
    """A spawner class for one installation.

    Attributes of a class and not traits: traitlets copies deeply what its configuration is given.
    """
    return type("SliceSpawner", (SliceSpawner,), {
        "settings": settings,
        "broker": broker,
        "threads": Threads(settings.docker),
        "gate": asyncio.Semaphore(settings.start_parallel),
        "handouts": staticmethod(cache(lambda: Handouts(Publishing(broker)))),
        "course_threads": ThreadPoolExecutor(_COURSE_THREADS, "courses"),
    })


def _only_when_up(spawner: SliceSpawner, event: dict[str, Any]) -> dict[str, Any]:
    """A start that was just cancelled looks ready to JupyterHub for a second: it is not."""
    if spawner.is_up:
        return event
    gone = words.say(spawner.language, "The start was cancelled.")
    return {"progress": 0, "failed": True, "cancelled": True, "message": gone}
