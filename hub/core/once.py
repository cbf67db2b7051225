"""A submission that is sent again, because its answer was lost, makes nothing twice."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Once:
    """By what a submission is known again: who sent it, the key that they gave it, what it was."""

    by: str
    key: str
    digest: str


@dataclass(frozen=True)
class Taken:
    """What was made of a submission with a key: `run`, or of several the first; their `sweep`."""

    once: Once
    at: datetime
    run: str
    sweep: str = ""
