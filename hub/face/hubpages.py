"""What JupyterHub's pages know of Madang: words, and why a server is not there."""

from collections.abc import Callable
from typing import Any

from hub.broker import Broker
from hub.config import Settings
from hub.core.lease import Kind
from hub.errors import Refusal
from hub.face import lastwords, words
from hub.face.container import name_of

_ORDERLY = frozenset({"stopped", "cancelled"})


def template_vars(settings: Settings, broker: Broker) -> dict[str, Callable[[Any], Any]]:
    """For `c.JupyterHub.template_vars`, which calls each value with the visitor.

    Templates then have: `_`, `language()`, `in_line(user, server)`: whether an open request or
    lease is there; `why_ended(user, server, language)`: HTML, escaped, empty after an orderly end.
    """

    def in_line(user: str, server: str) -> bool:
        try:
            return broker.state().open_for(user, Kind.SERVER, server) is not None
        except Refusal:
            return False

    def why_ended(user: str, server: str, language: str) -> str:
        found = lastwords.read(settings.data, name_of(settings.name, user, server))
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
