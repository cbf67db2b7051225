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

_LATER = timedelta(minutes=5)  # a server that ended so long after a lease was another one
_NEWEST = 50  # leases of a person among which the server's last one is looked for


def template_vars(settings: Settings, broker: Broker) -> dict[str, Callable[[Any], Any]]:
    """For `c.JupyterHub.template_vars`, which calls each value with the visitor.

    Templates then have: `_`, `language()`, `in_line(user, server)`: whether an open request or
    lease is there; `why_ended(user, server, language)`: HTML, escaped, empty where there is nothing
    to say.
    """

    def in_line(user: str, server: str) -> bool:
        try:
            return broker.state().open_for(user, Kind.SERVER, server) is not None
        except Refusal:
            return False

    def why_ended(user: str, server: str, language: str) -> str:
        found = lastwords.read(settings.data, name_of(settings.name, user, server))
        lease = _last_lease(broker, user, server, found.at if found else None)
        why = reasons.why_it_ended(lease, reasons.marked, reader=user) if lease else None
        if why is None and found is not None and found.cause == "stopped":
            why = _stopped(found.at, 0 if lease else settings.cpu_idle)
        if why is not None:
            return _told(why, language, settings.timezone)
        if found is None or found.cause == "cancelled":
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


def _last_lease(
    broker: Broker, user: str, server: str, ended: datetime | None
) -> Lease | None:
    """That of the server's last slice, if it is over; `ended`: its last words are of then.

    A server without a slice may have run since: then its own last words count.
    """
    try:
        history = broker.history(limit=_NEWEST, user=user)
    except Refusal:
        return None
    lease = next((
        x for x in history if x.request.kind is Kind.SERVER and x.request.name == server
    ), None)
    over = (lease.draining_at or lease.ended_at) if lease else None
    return None if over is None or (ended is not None and ended > over + _LATER) else lease


def _stopped(at: datetime, idle: int) -> Text:
    """After an orderly end, which JupyterHub does not say who asked for.

    Args:
        idle: seconds without activity after which it would have been stopped; 0 for never.
    """
    if not idle:
        return Text(
            "Your server was stopped by hand at {time}. Your files are safe.",
            time=reasons.marked(at),
        )
    return Text(
        "Your server was stopped at {time}: by hand, or because nothing had happened on it for "
        "{minutes} minutes. Your files are safe.", time=reasons.marked(at), minutes=idle // 60,
    )


def _told(text: Text, language: str, zone: str) -> str:
    say = reasons.clock(zone, datetime.now(UTC))

    def time(found: re.Match[str]) -> str:
        # the page's script puts the browser's own time into it
        return f'<time datetime="{found[1]}">{say(datetime.fromisoformat(found[1]))}</time>'

    html = reasons.MARKED.sub(time, str(escape(words.text(language, text))))
    return f'<p class="alert alert-info" role="status">{html}</p>'
