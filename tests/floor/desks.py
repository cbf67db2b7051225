"""A clock that tests of the desk move, people, and what they ask for."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hub.broker import Broker
from hub.core.lease import Kind, Lease
from hub.core.reserving import Wanted

BIG, SMALL = "3g.20gb", "1g.5gb"
IMAGE = "madang/notebook:latest"
ROSTER = "name,group,role\nana,ml,student\nbo,ml,student\ncho,vision,student\n"


class Clock:
    """A clock that is moved by hand, for broker and desk alike."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.now

    def passes(self, **span: float) -> None:
        self.now += timedelta(**span)


def ask(broker: Broker, user: str, profile: str = BIG) -> Lease:
    return broker.ask(user=user, kind=Kind.SERVER, name="", profile=profile, image=IMAGE)


def wanted(clock: Clock, after: timedelta = timedelta(minutes=30), **changes: Any) -> Wanted:
    """Two hours, that soon from now."""
    begins = clock.now + after
    given: dict[str, Any] = {
        "group": "vision", "profile": BIG, "count": 1, "zone": "UTC",
        "begins": f"{begins:%Y-%m-%dT%H:%M}",
        "ends": f"{begins + timedelta(hours=2):%Y-%m-%dT%H:%M}",
    }
    return Wanted(**given | changes)
