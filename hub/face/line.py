"""One server's way through the line: ask, wait for the grant, tell what changes."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from hub.broker import Broker, View
from hub.core import claims, roster
from hub.core.forecast import Place
from hub.core.lease import Kind, Lease, Stage, Why
from hub.errors import NotFound, Unavailable, Unknown
from hub.face import reasons
from hub.face.calls import Calls
from hub.face.form import Choice

log = logging.getLogger("madang.line")
LOOK = 1.0  # seconds between two looks at the line


class Line:
    """The line as one server sees it.

    Args:
        tell: is given the place whenever it was looked at.

    `lease_id` is "" before and after. Being cancelled is not leaving: `leave` is.
    """

    def __init__(
        self, broker: Broker, calls: Calls, *, user: str, server: str,
        tell: Callable[[Place], None],
    ) -> None:
        self.lease_id = ""
        self._broker = broker
        self._calls = calls
        self._user, self._server = user, server
        self._tell = tell

    async def pass_through(self, choice: Choice, options: dict[str, object]) -> None:
        """Ask, and return when a slice is granted.

        Raises:
            Refusal: what was asked cannot be, the request was ended, or it waited too long.
        """
        lease = await self._calls.store(partial(self._ask, choice, options))
        longest = self._broker.settings.waiting_max
        latest = lease.request.asked_at + timedelta(seconds=longest)
        while not _granted(view := await self._look()):
            if datetime.now(UTC) > latest:
                raise Unavailable(
                    "No slice came free in {hours} hours. Choose another size, or try again "
                    "later.", reason="waited-too-long", hours=max(1, longest // 3600),
                )
            if view and view.place:
                self._tell(view.place)
            await asyncio.sleep(LOOK)

    async def lease(self) -> Lease | None:
        """The lease as it stands; None without one.

        Raises:
            Refusal: the store does not answer.
        """
        if not self.lease_id:
            return None
        return (await self._calls.store(partial(self._broker.look, self.lease_id))).lease

    async def may_start(self) -> bool:
        """Whether a container may start now; always true without a slice."""
        if not self.lease_id:
            return True
        return await self._calls.store(partial(self._broker.may_start, self.lease_id))

    async def started(self) -> None:
        """The server is up."""
        if self.lease_id:
            await self._calls.store(partial(self._broker.started, self.lease_id))

    async def leave(self, cause: str) -> None:
        """Leave the line, or end the lease: `withdraw` is both, so a grant of just now is met."""
        lease_id, self.lease_id = self.lease_id, ""
        if lease_id:
            await self._calls.store(partial(self._broker.withdraw, lease_id, cause))

    async def clear(self, cause: str) -> None:
        """Withdraw an open request that an earlier hub left behind; there may be none."""
        if not self.lease_id:
            await self._calls.store(partial(self._clear, cause))

    def _clear(self, cause: str) -> None:
        left = self._broker.state().open_for(self._user, Kind.SERVER, self._server)
        if left is not None:
            self._broker.withdraw(left.id, cause)

    def _ask(self, choice: Choice, options: dict[str, object]) -> Lease:
        """In a thread. Keeps the lease's id itself: a cancel may leave nobody to be told of it."""
        ask = partial(
            self._broker.ask, user=self._user, kind=Kind.SERVER, name=self._server,
            profile=choice.profile, image=choice.image, options=options, group=choice.group,
        )
        lease = ask()
        had = lease.request
        group = choice.group or had.group
        if (had.profile, had.image, had.group) != (choice.profile, choice.image, group):
            # a place that an earlier hub left behind, and the person has chosen anew since
            self._broker.withdraw(lease.id, "another choice was made")
            lease = ask()
        self.lease_id = lease.id
        return lease

    async def _look(self) -> View | None:
        """The lease and its place; None where the store gives no answer, which ends no wait."""
        try:
            return await self._calls.store(partial(self._broker.look, self.lease_id))
        except NotFound:
            raise
        except (Unavailable, Unknown) as e:
            log.warning("the store does not answer, lease %s waits on: %s", self.lease_id, e)
            return None


def groups_of(broker: Broker, user: str) -> tuple[str, ...]:
    """In whose name a person may ask.

    Raises:
        Unavailable: the store does not answer.
    """
    groups = roster.groups_of(broker.members(), user)
    return claims.open_groups(broker.state(), groups, datetime.now(UTC))


def _granted(view: View | None) -> bool:
    stage = view.lease.stage if view else Stage.WAITING
    if view and stage not in (Stage.WAITING, Stage.GRANTED, Stage.RUNNING):
        if view.lease.why is Why.HAND:
            why = reasons.why_it_ended(view.lease, str)
            raise Unavailable("Your place in the line is gone. {why}", reason="ended", why=why)
        raise Unavailable(
            "Your place in the line was ended: {cause}.", reason="ended", cause=view.lease.cause
        )
    return stage is not Stage.WAITING
