"""What the service answers, the general part of it: shapes of the JSON.

`Offer` and `Run` are core's own dataclasses: they are answered field by field.
"""

from pydantic import BaseModel, Field


class ErrorText(BaseModel):
    """Why it was declined: for the person, and as a short label."""

    message: str
    reason: str


class ErrorOut(BaseModel):
    """Every answer that is not 2xx."""

    error: ErrorText


class ImageOut(BaseModel):
    """An image that may be asked for."""

    image: str = Field(description="Its tag, as `image` of a run or a schedule.")
    title: str = Field(description="What people call it.")


class MeOut(BaseModel):
    """Who the token or the cookie belongs to. `instructs`: groups that they may reserve for."""

    name: str
    kind: str
    is_operator: bool
    is_instructor: bool
    groups: tuple[str, ...]
    instructs: tuple[str, ...]


class HealthOut(BaseModel):
    """Whether the service does its work; seconds since the last whole tick."""

    status: str
    last_tick_s: float | None
    database: str


class RosterOut(BaseModel):
    """How many people the roster now has."""

    members: int
