"""Moments as they are told: in the house's time zone, which the service names in its answers.

Its sentences are in that zone too, so that one line never has two clocks. Where the service names
none, or the zone's data is not here, it is the terminal's own (the variable TZ says which).
"""

from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

HEADER = "Madang-Timezone"
_house: dict[str, tzinfo | None] = {}  # under one key: what the last answer named


def use(name: str) -> None:
    """From now on, moments are told in this zone; "" changes nothing."""
    if not name:
        return
    try:
        _house["zone"] = ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        _house["zone"] = None  # no data for it here: the terminal's, and said so


def moment(text: str) -> str:
    """A moment of the service's; with the zone, where this terminal's clock shows another time."""
    return "".join(_told(text))


def span(begins: str | None, ends: str | None, *, named: bool = False) -> str:
    """From one moment to another, the day and the zone said once where they are the same.

    "" without them. `named`: always with the zone, for what stands beside times in another one.
    """
    if not begins or not ends:
        return ""
    (first, zone), (last, last_zone) = _told(begins, named=named), _told(ends, named=named)
    end = last[11:] if last[:10] == first[:10] else last
    return f"{first}{'' if zone == last_zone else zone} - {end}{last_zone}"


def _told(text: str, *, named: bool = False) -> tuple[str, str]:
    """The moment, and what is said of its zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text, ""
    if at.tzinfo is None:  # local in a zone that is said beside it
        return f"{at:%Y-%m-%d %H:%M}", ""
    here, there = at.astimezone(), at.astimezone(_house.get("zone"))
    unknown = "zone" in _house and _house["zone"] is None
    other = named or unknown or here.utcoffset() != there.utcoffset()
    return f"{there:%Y-%m-%d %H:%M}", f"{there: %Z}" if other else ""
