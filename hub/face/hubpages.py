"""What JupyterHub's pages know of Madang: words, and why a server is not there."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from markupsafe import escape

from hub.broker import Broker
from hub.config import Settings
from hub.core.lease import Kind, Lease
from hub.errors import Refusal, Text
from hub.face import lastwords, reasons, words
from hub.face.container import name_of

_ORDERLY = frozenset({"stopped", "cancelled"})
_LATER = timedelta(minutes=5)  # a server that ended so long after a lease was another one
_NEWEST = 50  # leases of a person among which the server's last one is looked for


def template_vars(settings: Settings, broker: Broker) -> dict[str, Callable[[Any], Any]]:
    """For `c.JupyterHub.template_vars`, which calls each value with the visitor.

    Templates then have: `_`, `language()`, `in_line(user, server)`: whether an open request or
    lease is there; `why_ended(user, server, language)`: HTML, escaped, empty after an orderly end
    by the person's own hand.
    """

    def in_line(user: str, server: str) -> bool:
        try:
            return broker.state().open_for(user, Kind.SERVER, server) is not None
        except Refusal:
            return False

    def why_ended(user: str, server: str, language: str) -> str:
        found = lastwords.read(settings.data, name_of(settings.name, user, server))
        taken = _taken_back(broker, user, server, found.at if found else None)
        if taken is not None:
            return _told(taken, language, settings.timezone)
        if found is None or found.cause in _ORDERLY:
            return ""
        told = words.say(
            language, "Your server ended by itself. {why}", why=lastwords.explain(language, found)
        )
        return lastwords.as_html(language, told.strip(), found)

    return {
        **words.template_vars(),
        "in_line": lambda _: in_line,
        "why_ended": lambda _: why_ended,
    }


def _taken_back(broker: Broker, user: str, server: str, ended: datetime | None) -> Text | None:
    """Why the server's last slice was taken back, if it was; `ended`: its last words are of then.

    A server without a slice may have run since: then its own last words count.
    """
    try:
        lease = _last_lease(broker, user, server)
    except Refusal:
        return None
    if lease is None:
        return None
    over = lease.draining_at or lease.ended_at
    if over is None or (ended is not None and ended > over + _LATER):
        return None
    return reasons.why_it_ended(lease, reasons.marked, reader=user)


def _last_lease(broker: Broker, user: str, server: str) -> Lease | None:
    return next((
        x for x in broker.history(limit=_NEWEST, user=user)
        if x.request.kind is Kind.SERVER and x.request.name == server
    ), None)


def _told(text: Text, language: str, zone: str) -> str:
    say = reasons.clock(zone, datetime.now(UTC))

    def time(found: re.Match[str]) -> str:
        # the page's script puts the browser's own time into it
        return f'<time datetime="{found[1]}">{say(datetime.fromisoformat(found[1]))}</time>'

    html = reasons.MARKED.sub(time, str(escape(words.text(language, text))))
    return f'<p class="alert alert-info" role="status">{html}</p>'
