"""What is sent of a run or a sweep that has ended: a title, a few lines, a link to its page."""

from collections.abc import Callable
from datetime import UTC, datetime

from hub.config import Settings
from hub.core.notification import News
from hub.core.runs import RunStage
from hub.face import reasons, reported, words


def worded(settings: Settings, prefix: str) -> Callable[[News], tuple[str, str, str]]:
    """Says news in the house's language as (title, text, link).

    Args:
        prefix: where the service stands in the address, with slashes at both ends.
    """
    base = settings.public_url.rstrip("/")

    def say(news: News) -> tuple[str, str, str]:
        title, lines = _said(news, settings.language)
        talk = reported.talk(settings.language, settings.timezone, datetime.now(UTC))
        if news.took is not None:
            took = talk.span(news.took.total_seconds())
            lines.append(words.say(settings.language, "It took {time}.", time=took))
        return title, "\n".join(lines), f"{base}{prefix}{news.path}" if base else ""

    return say


def _said(news: News, language: str) -> tuple[str, list[str]]:
    if news.counts:
        return _sweep(news, language)
    if news.slot:
        title = words.say(language, "{notebook} did not run at {slot}", notebook=news.notebook,
                          slot=news.slot)
        return title, [reasons.told(news.message, language)]
    stage = words.say(language, news.stage.value)
    title = words.say(language, "{notebook} has ended: {stage}", notebook=news.notebook,
                      stage=stage)
    lines = [words.say(language, "Run {id} of {notebook} has ended: {stage}.", id=news.id,
                       notebook=news.notebook, stage=stage)]
    if news.error and news.cell:
        lines.append(words.say(language, "Cell {cell}: {error}", cell=news.cell,
                               error=news.error))
    elif news.error:
        lines.append(news.error)
    elif news.message and news.stage is not RunStage.SUCCEEDED:
        lines.append(reasons.told(news.message, language))
    return title, lines


def _sweep(news: News, language: str) -> tuple[str, list[str]]:
    counted = ", ".join(
        f"{words.say(language, stage.value)} {count}"
        for stage, count in sorted(news.counts.items(), key=lambda x: list(RunStage).index(x[0]))
    )
    values = {"notebook": news.notebook, "counts": counted}
    title = words.say(language, "The sweep of {notebook} has ended: {counts}", **values)
    line = words.say(language, "Sweep {id} of {notebook} has ended: {counts}.", id=news.id,
                     **values)
    return title, [line]
