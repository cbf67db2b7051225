"""When slices are wanted: what somebody typed or picked into hours of the week, or a span."""

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from unicodedata import normalize
from zoneinfo import ZoneInfo

from hub.core.hours import DAY, exists, local_of, moment, next_window, zone_of
from hub.core.rules import Reservation, Span, Weekly
from hub.errors import BadInput, Text

LEAST = timedelta(minutes=10)
MOST = timedelta(days=31)
SHOWN = "%Y-%m-%d %H:%M"
WEEKDAYS = (
    Text("Mon"), Text("Tue"), Text("Wed"), Text("Thu"), Text("Fri"), Text("Sat"), Text("Sun"),
)
_LATE = timedelta(minutes=1)  # filling in the form and sending it take their time
_YEARS = 10
_OLDEST = 1970  # no clock is of use before; and the first year has no day before it
_LONGEST = 40  # characters of what somebody typed, in an answer
_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SHORTEST_NAME = 3
_KOREAN = "월화수목금토일"
_WORD = re.compile(r"[^\s,]+")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2})[T ]((?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII)


def parse_when(  # noqa: PLR0913 - the fields of the form, all by name
    *, days: Sequence[str] = (), start: str = "", end: str = "", first: str = "", last: str = "",
    begins: str = "", ends: str = "", zone: str, now: datetime,
) -> Weekly | Span:
    """Hours of the week (days, start, end; first and last are dates), or a span (begins, ends).

    Days in English or Korean, whole or short; times HH:MM; dates YYYY-MM-DD; moments
    YYYY-MM-DDTHH:MM or with a space, all local in `zone`. An `end` of 00:00 or 24:00 is midnight
    at the day's end. Without `first` the hours begin today, without `last` they never end.

    Raises:
        BadInput: reason "reservation"; names every problem that can be told at once.
    """
    reader = _Reader(zone.strip(), now)
    words = _WORD.findall(" ".join([days] if isinstance(days, str) else days))
    start, end, first, last, begins, ends = (
        x.strip() for x in (start, end, first, last, begins, ends))
    weekly, span = any((words, start, end, first, last)), bool(begins or ends)
    found: Weekly | Span | None = None
    if weekly and span:
        reader.say(Text(
            "Give either days of the week with start and end, or one beginning and one end; not "
            "both."
        ))
    elif weekly:
        found = reader.weekly(words, start, end, first, last)
    elif span:
        found = reader.span(begins, ends)
    else:
        reader.say(Text(
            "Say when: days of the week with start and end, or one beginning and one end."
        ))
    if reader.problems or found is None:
        raise refused(reader.problems)
    return found


def refused(problems: Iterable[Text]) -> BadInput:
    """One refusal that names them all."""
    return BadInput(
        "Nothing was reserved. {problems}", reason="reservation", problems=Text.joined(problems)
    )


class _Reader:
    """Reads one form, and keeps every problem so that all are told at once."""

    def __init__(self, zone: str, now: datetime) -> None:
        self.problems: list[Text] = []
        self._now = now
        self._name = zone
        self._zone: ZoneInfo | None = None
        try:
            self._zone = zone_of(zone)
        except (KeyError, ValueError, OSError):
            self.say(Text(
                "There is no time zone {zone}. Write it like Asia/Seoul or Europe/Berlin.",
                zone=_shown(zone),
            ))

    def say(self, problem: Text) -> None:
        """Keep a problem."""
        self.problems.append(problem)

    def weekly(
        self, words: Sequence[str], start: str, end: str, first: str, last: str
    ) -> Weekly | None:
        """Hours of the week, or None where something is wrong."""
        if not (words and start and end):
            self.say(Text("Hours of the week need weekdays, a start and an end."))
        days = self._weekdays(words)
        opens, closes = self._clock(start), self._clock("00:00" if end == "24:00" else end)
        if opens and closes:
            self._check_hours(opens, closes)
        a, b = self._day(first), self._day(last)
        if a:
            self._near(datetime.combine(a, time.min))
        if a and b and b < a:
            self.say(Text(
                "Its last date {last} is before its first, {first}.", last=b, first=a
            ))
        if self.problems or not opens or not closes:
            return None
        today = local_of(self._now, zone_of(self._name)).date()
        found = Weekly(days, opens, closes, a or today, b)
        self._check_to_come(found)
        return found

    def span(self, begins: str, ends: str) -> Span | None:
        """One beginning and one end, or None where something is wrong."""
        if not (begins and ends):
            self.say(Text("A span needs a beginning and an end, each a date with a time."))
        a, b = self._local(begins), self._local(ends)
        if a and b:
            self._check_length(b - a, a, b)
        if self._zone:
            self._check_exists(a, self._zone)
            self._check_exists(b, self._zone)
            self._check_past(a, b, self._zone)
        return Span(a, b) if a and b else None

    # ---- one field ------------------------------------------------------------------------------

    def _weekdays(self, words: Sequence[str]) -> tuple[int, ...]:
        for word in words:
            if not _numbers(word):
                self.say(Text(
                    "{day} is no weekday. Write mon, tue, wed, thu, fri, sat or sun.",
                    day=_shown(word),
                ))
        return tuple(sorted({i for x in words for i in _numbers(x)}))

    def _clock(self, text: str) -> time | None:
        read = _TIME.fullmatch(text)
        if read:
            return time.min.replace(hour=int(read[1]), minute=int(read[2]))
        if text:
            self.say(Text(
                "{value} is no time of the day. Write it like 09:30.", value=_shown(text)
            ))
        return None

    def _day(self, text: str) -> date | None:
        found = _date(text)
        if text and found is None:
            self.say(Text("{value} is no date. Write it like 2027-03-02.", value=_shown(text)))
        return found

    def _local(self, text: str) -> datetime | None:
        read = _MOMENT.fullmatch(text)
        day = _date(read[1]) if read else None
        if read and day:
            return self._near(datetime.combine(day, time.fromisoformat(read[2])))
        if text:
            self.say(Text(
                "{value} is no date with a time. Write it like 2027-03-02T09:30, in local time.",
                value=_shown(text),
            ))
        return None

    def _near(self, local: datetime) -> datetime | None:
        """The same; None where nobody plans so far ahead."""
        if local.year <= self._now.year + _YEARS:
            return local
        self.say(Text(
            "{value} is more than {years} years away. Check the year.",
            value=_said(local), years=_YEARS,
        ))
        return None

    # ---- what does not go together --------------------------------------------------------------

    def _check_hours(self, start: time, end: time) -> None:
        opens = datetime.combine(date.min, start)
        closes = datetime.combine(date.min + (DAY if end == time.min else 0 * DAY), end)
        if closes <= opens:
            self.say(Text(
                "Its end {end} is not after its start {start}. The end of the day is 00:00.",
                start=f"{start:%H:%M}", end=f"{end:%H:%M}",
            ))
        elif closes - opens < LEAST:
            self._say_short()

    def _check_to_come(self, when: Weekly) -> None:
        if next_window(Reservation("", "", "", 1, when, self._name), self._now):
            return
        last = when.last or date.max
        days = [when.first + i * DAY for i in range(min((last - when.first).days + 1, 7))]
        if days and not any(x.weekday() in when.days for x in days):
            self.say(Text(
                "None of its weekdays is from {first} to {last}. Choose other days or dates.",
                first=when.first, last=last,
            ))
        else:
            self.say(Text(
                "None of its hours is to come: its last date is {last}. Choose a later one.",
                last=last,
            ))

    def _check_length(self, length: timedelta, begins: datetime, ends: datetime) -> None:
        if length <= timedelta(0):
            self.say(Text(
                "Its end {ends} is not after its beginning {begins}.",
                ends=_said(ends), begins=_said(begins),
            ))
        elif length > MOST:
            self.say(Text(
                "It is longer than {most} days. Make it hours of the week, or several "
                "reservations.", most=MOST.days,
            ))
        elif length < LEAST:
            self._say_short()

    def _check_exists(self, local: datetime | None, zone: ZoneInfo) -> None:
        if local and not exists(local, zone):
            after = local_of(moment(local, zone), zone)
            self.say(Text(
                "{value} does not exist in {zone}: the clock goes forward over it. Take {after}.",
                value=_said(local), zone=self._name, after=_said(after),
            ))

    def _check_past(self, begins: datetime | None, ends: datetime | None, zone: ZoneInfo) -> None:
        opens = moment(begins, zone) if begins else None
        closes = moment(ends, zone, late=True) if ends else None
        if ends and closes and closes <= self._now:
            self.say(Text(
                "It is over already: {ends} is in the past. Choose a later time.", ends=_said(ends)
            ))
        elif begins and opens and opens < self._now - _LATE:
            self.say(Text(
                "It begins at {begins}, in the past; it is {time} in {zone}. Choose a later time.",
                begins=_said(begins), time=_said(local_of(self._now, zone)), zone=self._name,
            ))
        elif begins and ends and opens and closes and closes - opens < LEAST <= ends - begins:
            # the clock goes forward within it
            self._say_short()

    def _say_short(self) -> None:
        self.say(Text(
            "It is shorter than {least} minutes. Make it longer.",
            least=LEAST // timedelta(minutes=1),
        ))


def _numbers(word: str) -> set[int]:
    """The weekdays (0 is Monday) that a word names: mon, Tuesday, 수, 목요일, 월수금."""
    korean = normalize("NFC", word).removesuffix("요일")
    if korean and set(korean) <= set(_KOREAN):
        return {_KOREAN.index(x) for x in korean}
    if len(word) < _SHORTEST_NAME:
        return set()
    return {i for i, x in enumerate(_NAMES) if x.startswith(word.lower())}


def _date(text: str) -> date | None:
    if not _DATE.fullmatch(text):
        return None
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if found.year >= _OLDEST else None


def _said(local: datetime) -> str:
    return f"{local:{SHOWN}}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")
