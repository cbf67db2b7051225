"""The service's side of a push: it answers what git's hooks ask (`githook`) while one runs."""

import json
import logging
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from hub import metrics
from hub.core.accepted import of_json
from hub.core.courses import Author
from hub.errors import Refusal, Text, Unavailable
from hub.face import githook, words
from hub.publishing import Publishing
from hub.pushing import as_json

log = logging.getLogger("madang.git")
_IN_A_MOMENT = Text("It will be published in a moment.")
_WHEN_MENDED = Text(
    "The push was taken, and is published when that is mended. It need not be pushed again."
)


class Talk(threading.Thread):
    """Answers the hooks of one request; over when nobody is left who could ask."""

    def __init__(
        self, publishing: Publishing, course: str, author: Author, language: str,
        channel: socket.socket,
    ) -> None:
        super().__init__(name="madang-push", daemon=True)
        self._publishing = publishing
        self._course = course
        self._author = author
        self._language = language
        self._channel = channel

    def run(self) -> None:
        """Until git has ended."""
        with self._channel, self._channel.makefile("rwb") as file, suppress(OSError):
            for line in file:
                file.write(json.dumps(self._answer(json.loads(line))).encode() + b"\n")
                file.flush()

    def _answer(self, said: Mapping[str, Any]) -> dict[str, Any]:
        try:
            if "accept" in said:
                return self._accept(said["accept"])
            if said.get("hook") == "post-receive":
                return {"lines": list(self._out(said["main"]))}
            if said.get("hook") == "pre-receive":
                given = self._publishing.given(self._course, self._author)
                told = as_json(given, self._publishing.blobs.root)
                return told | {"language": self._language}
            metrics.COURSE_PUSHES.labels("refused").inc()
        except Refusal as e:
            metrics.refused(e.reason)
            log.warning("push to %s: %s", self._course, e.detail)
            lines = words.refusal(self._language, e).splitlines()
            if isinstance(e, Unavailable) and said.get("hook") == "post-receive":
                # it is main's: `recover` publishes it, and nobody has to push again
                busy = e.reason == "busy"
                then = words.text(self._language, _IN_A_MOMENT if busy else _WHEN_MENDED)
                lines = [then] if busy else [*lines, then]
            return {"refused": lines, "lines": lines}
        return {}

    def _accept(self, found: Mapping[str, Any]) -> dict[str, Any]:
        # who pushes is known here, whatever was said
        one = replace(of_json(found), author=self._author, course=self._course)
        problem = self._publishing.problem_of(one)
        if problem is None:
            self._publishing.accept(one)
            return {"refused": []}
        return {"refused": [githook.line_of(problem, self._language)]}

    def _out(self, commit: str) -> Iterator[str]:
        if not commit:
            metrics.COURSE_PUSHES.labels("draft").inc()
            return
        made = self._publishing.publish_commit(self._course, commit)
        yield words.say(
            self._language,
            "Release {number} of {course} is out: everybody has it at the next start.",
            number=made.number, course=made.course,
        )
