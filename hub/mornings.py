"""Once a day: a report as a file in the home of everybody whose runs have ended since the last."""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from hub.core.hours import zone_of
from hub.core.report import Report
from hub.edge.letterbox import leave
from hub.errors import Refusal
from hub.reports import Reports

log = logging.getLogger("madang.mornings")
_LOOK = 60.0  # seconds between two looks at the clock
_LONGEST = timedelta(days=7)  # of one report: after a long time away
_FOLDER = "runs"
Written = Callable[[Report, str], bytes]


class Mornings:
    """Writes reports at the setting `report_at`, in a thread of its own.

    When the last ones were written stands in `<data>/reported`: a service that was away at that
    time writes them when it is back, and none that is started anew writes them twice.

    Args:
        written: the report of a person (their name) as a file's content.
    """

    def __init__(
        self, reports: Reports, written: Written,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        settings = reports.batch.settings
        self._reports = reports
        self._written = written
        self._clock = clock
        self._zone = zone_of(settings.timezone)
        self._at = time.fromisoformat(settings.report_at) if settings.report_at else None
        self._mark = Path(settings.data) / "reported"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="madang-mornings", daemon=True)

    def start(self) -> None:
        """Begin."""
        if self._at is not None:
            self._thread.start()

    def stop(self) -> None:
        """Write no more; what is being written is finished by itself."""
        self._over.set()

    def look(self) -> int:
        """Write what is due; how many reports that were."""
        now = self._clock()
        due = self._due(now)
        last = self._last()
        if due is None or (last is not None and last >= due):
            return 0
        since = max(last or due - timedelta(days=1), now - _LONGEST)
        # first: a report that can never be written must not be tried for ever
        self._mark.write_text(now.isoformat())
        people = self._reports.people(since, now)
        return sum(self._put(user, since, now) for user in sorted(people))

    def _due(self, now: datetime) -> datetime | None:
        """The last time that reports were due."""
        if self._at is None:
            return None
        local = now.astimezone(self._zone)
        today = datetime.combine(local, self._at, self._zone)
        return today if today <= local else today - timedelta(days=1)

    def _last(self) -> datetime | None:
        with suppress(OSError, ValueError):
            found = datetime.fromisoformat(self._mark.read_text().strip())
            return found if found.tzinfo else None
        return None

    def _put(self, user: str, since: datetime, now: datetime) -> bool:
        if self._over.is_set():
            return False
        home = self._reports.batch.broker.edges.homes.path(user)
        name = f"report-{now.astimezone(self._zone):%Y-%m-%d}.html"
        try:
            content = self._written(self._reports.between(user, since, now), user)
            leave(home, _FOLDER, name, content)
        except FileNotFoundError:
            log.info("%s has no home to put a report into", user)
        except (OSError, Refusal) as e:
            log.warning("the report of %s cannot be written: %s", user, e)
        except Exception:  # what one person's notebook has recorded must not cost others theirs
            log.exception("the report of %s cannot be made", user)
        else:
            return True
        return False

    def _loop(self) -> None:
        while not self._over.wait(_LOOK):
            try:
                self.look()
            except Exception:
                log.exception("the reports are not written")
