"""A refusal of ours, as JupyterHub shows it."""

from jupyterhub.spawner import SpawnException
from markupsafe import escape

from hub.errors import Refusal
from hub.face import words


class Refused(SpawnException):
    """Declined, with a text in the person's language. `html` is trusted: escape before."""

    def __init__(
        self, message: str, *, reason: str, detail: str, status: int, html: str = ""
    ) -> None:
        super().__init__(
            message, reason=reason, log_message=detail, message_html=html, status_code=status
        )
        # 6.1's pages and progress events read these names, not SpawnException's own
        self.jupyterhub_message = message
        self.jupyterhub_html_message = html or None


def refused(language: str, refusal: Refusal) -> Refused:
    """The exception for JupyterHub."""
    message = words.refusal(language, refusal)
    return Refused(
        message, reason=refusal.reason, detail=refusal.detail, status=refusal.status,
        # without it JupyterHub's event says "Spawn failed: " before a text in any language
        html=str(escape(message)),
    )
