"""Which places may be told of a run's end, and telling one of them."""

import json
import logging

from hub.config import Settings
from hub.core import targets
from hub.core.notification import Notification
from hub.core.targets import Kind, Reach, Target
from hub.edge.outward import Outward
from hub.edge.postman import Postman
from hub.errors import BadInput, Unknown

log = logging.getLogger("madang.telling")
_GOOD = range(200, 300)
_LATER = frozenset({408, 425, 429})  # and all of the server's own faults
_FAULTS = range(500, 600)


def reach_of(settings: Settings) -> Reach:
    """What the settings let be told."""
    return Reach(
        settings.notify_hosts, settings.notify_mail_domains,
        mail=bool(settings.smtp_host and settings.smtp_from), ntfy=settings.ntfy_server,
    )


class Telling:
    """Checks places, and tells them."""

    def __init__(self, settings: Settings) -> None:
        self._reach = reach_of(settings)
        self._outward = Outward(settings.deny)
        self._postman = Postman(settings)

    def check(self, user: str, texts: tuple[str, ...]) -> None:
        """Refuse places that are none, or that nobody may be told at.

        Raises:
            BadInput: reason "notify".
        """
        targets.check(texts, self._reach, user)

    def look_up(self, user: str, texts: tuple[str, ...]) -> None:
        """The same, and where the names lead; for whoever waits for an answer, not for the tick.

        Raises:
            BadInput: as `check`; or a host is none of the public internet.
        """
        for one in targets.check(texts, self._reach, user):
            if one.host and not targets.named(one, self._reach):
                self._outward.check(one.host, one.port)

    def tell(self, one: Notification) -> Target:
        """Send it to its place, which is looked at once more.

        Raises:
            BadInput: it will never be taken.
            Unknown: it was not taken, or nobody knows; another try may help.
        """
        (target,) = targets.check([one.target], self._reach, one.user)
        if target.kind is Kind.MAIL:
            text = f"{one.text}\n\n{one.link}".strip() + "\n"
            self._postman.send(one.id, target.address, one.title, text)
            return target
        body = _published(one, target) if target.kind is Kind.NTFY else one.body
        status = self._outward.post(
            target.url, json.dumps(body, ensure_ascii=False).encode(), {
                "Content-Type": "application/json; charset=utf-8", "User-Agent": "Madang",
                "Idempotency-Key": one.id,
            }, named=targets.named(target, self._reach),
        )
        if status in _GOOD:
            return target
        if status in _LATER or status in _FAULTS:
            raise Unknown(f"it answers {status}")
        raise BadInput("{host} answers {code}.", reason="notify", host=target.shown, code=status)


def kind_of(text: str) -> Kind:
    """Of what kind a place is, for counting: as it was checked when it was submitted."""
    scheme = text.partition(":")[0].lower()
    if scheme == "mailto":
        return Kind.MAIL
    return Kind.NTFY if scheme.startswith("ntfy") else Kind.WEBHOOK


def _published(one: Notification, target: Target) -> dict[str, object]:
    """As ntfy takes it: JSON at the server's root, because a header holds no Korean."""
    body: dict[str, object] = {"topic": target.topic, "title": one.title, "message": one.text}
    return {**body, "click": one.link} if one.link else body
