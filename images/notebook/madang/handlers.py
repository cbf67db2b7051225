"""What the handlers of Madang's server extensions share."""

import json
from collections.abc import Awaitable
from typing import Any

from jupyter_server.base.handlers import APIHandler

from madang.asking import Away, Refused

_AWAY = "Madang does not answer just now. Try again in a minute."


class MadangHandler(APIHandler):
    """Passes on to the service what a page asks; a page that asks by itself is not activity."""

    auth_resource = "madang"
    _track_activity = False

    @property
    def language(self) -> str:
        """What the page asks for, for the service to answer in."""
        return str(self.request.headers.get("Accept-Language", ""))[:1000]

    async def answer(self, asked: Awaitable[Any]) -> None:
        """What was asked for, or the service's refusal word for word."""
        try:
            self.finish(json.dumps(await asked))
        except Refused as e:
            self.set_status(e.status)
            self.finish(json.dumps({"message": str(e), "reason": e.reason}))
        except Away as e:
            self.log.debug("madang: %s", e)
            self.set_status(503)
            self.finish(json.dumps({"message": _AWAY, "reason": "away"}))
