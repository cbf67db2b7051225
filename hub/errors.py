"""Refusals: one text for the person, one label for the metric, one detail for the operator's log.

A refusal is a decision, not a fault: nothing was changed, and `message` says what to do next.
`message` is an English template and the key of its translation (`face/locale`); `values` fill it.
"""

from collections.abc import Iterable


class Text:
    """A sentence, or a part of one, that is put into another and translated before.

    Args:
        template: English, with `{name}` places; the key of its translation.
        values: what fills them; a Text among them is translated too.
    """

    def __init__(self, template: str, **values: object) -> None:
        self.template = template
        self.values = values

    def __str__(self) -> str:
        return self.template.format(**self.values)

    @classmethod
    def joined(cls, parts: Iterable["Text"], between: str = " ") -> "Text":
        """All of them, one behind the other."""
        values = {f"p{i}": x for i, x in enumerate(parts)}
        return cls(between.join(f"{{{x}}}" for x in values), **values)


class Refusal(Exception):
    """A request that Madang declines.

    Args:
        message: what the person reads, with `{name}` places; it says what to do.
        reason: short label for the metric `madang_refusals_total{reason=…}`.
        detail: what the operator reads in the log; defaults to the filled message.
        status: HTTP status of the answer.
        values: what fills the places of `message`.
    """

    def __init__(
        self, message: str, *, reason: str, detail: str = "", status: int = 400, **values: object
    ) -> None:
        self.template = message
        self.values = values
        self.message = message.format(**values)
        self.reason = reason
        self.detail = detail or self.message
        self.status = status
        super().__init__(self.message)


class BadInput(Refusal):
    """What was asked cannot be (unknown profile, a file that is not a notebook): HTTP 400."""


class NotFound(Refusal):
    """The thing named does not exist, or is not the asker's to see: HTTP 404."""

    def __init__(self, message: str, *, reason: str = "not-found", **rest: object) -> None:
        rest.setdefault("status", 404)
        super().__init__(message, reason=reason, **rest)  # type: ignore[arg-type]


class NotAllowed(Refusal):
    """The asker lacks the role: HTTP 403."""

    def __init__(self, message: str, *, reason: str = "not-allowed", **rest: object) -> None:
        rest.setdefault("status", 403)
        super().__init__(message, reason=reason, **rest)  # type: ignore[arg-type]


class Unavailable(Refusal):
    """Something outside does not answer (Docker, the disk is full): HTTP 503, try again later."""

    def __init__(self, message: str, *, reason: str = "unavailable", **rest: object) -> None:
        rest.setdefault("status", 503)
        super().__init__(message, reason=reason, **rest)  # type: ignore[arg-type]


class Unknown(Exception):
    """The world outside gave no usable answer (Docker 500, time-out, NVMLError).

    Never a sign of absence: whoever catches it changes nothing and looks again later.
    """


class IllegalStep(Exception):
    """An event that no arrow allows; its text tells the lease's whole story."""
