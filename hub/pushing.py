"""A push, as the hooks of git see it: in a process of its own, in which what was pushed is read.

The service tells it what a check has to know; what was taken goes back the same way. Nothing here
needs the store.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.core import accepted, releases
from hub.core.accepted import Accepted, author_of, fact_of
from hub.core.courses import COURSE_FILE
from hub.core.coursetree import Limits
from hub.core.releases import Draft, Given
from hub.edge.blobs import Blobs
from hub.edge.repo import MAIN, NONE, Backend, GitError, Repo
from hub.errors import Text

__all__ = ["Backend", "GitError", "Pushed", "Update", "as_json"]
_BRANCH, _TAG = "refs/heads/", "refs/tags/"


@dataclass(frozen=True)
class Update:
    """One ref that is to change; commits, NONE for none."""

    old: str
    new: str
    ref: str

    @property
    def main(self) -> bool:
        """Whether it is the branch that is published."""
        return self.ref == MAIN

    @property
    def read(self) -> bool:
        """Whether there is a tree of it to be looked at."""
        return self.ref.startswith(_BRANCH) and self.new != NONE

    @property
    def name(self) -> str:
        """The branch or tag."""
        return self.ref.removeprefix(_BRANCH).removeprefix(_TAG)


def as_json(given: Given, root: Path) -> dict[str, Any]:
    """What a check has to know, for the way to the hook; `root`: where blobs are."""
    return {
        "course": given.course, "author": accepted.author_json(given.author),
        "limits": vars(given.limits), "zone": given.zone, "against": given.against,
        "group": given.group, "groups": sorted(given.groups), "blobs": str(root),
        "before": [accepted.fact_json(x) for x in given.before.values()],
    }


class Pushed:
    """What is being pushed to one course.

    Args:
        repo: the repository, `environment` the hook's, told: what the service has said.
    """

    def __init__(
        self, repo: Path, environment: Mapping[str, str], told: Mapping[str, Any]
    ) -> None:
        self._repo = Repo(repo, quarantine=environment)
        self._blobs = Blobs(Path(told["blobs"]))
        self._made: dict[str, int] = {}
        files = [fact_of(x) for x in told["before"]]
        self._given = Given(
            course=str(told["course"]), author=author_of(told["author"]),
            limits=Limits(**told["limits"]), zone=str(told["zone"]), blob=self._blobs.get,
            before={x.path: x for x in files}, against=told["against"], group=str(told["group"]),
            groups=frozenset(told["groups"]),
        )

    def refusal(self, update: Update) -> Text | None:
        """Why this ref may not change so, whatever is in it."""
        if not update.ref.startswith((_BRANCH, _TAG)):
            return Text("Only branches and tags can be pushed, not {ref}.", ref=ascii(update.ref))
        if update.main and update.new == NONE:
            return Text(
                "main cannot be deleted: releases were made of it. To take a release back: "
                "madang course withdraw {course} NUMBER", course=self._given.course,
            )
        if update.main and update.old != NONE and not self._repo.keeps(update.new, update.old):
            return Text(
                "main only goes forward, because releases were made of it. Fetch it, put your "
                "changes on top (git pull --rebase), then push without --force."
            )
        if update.read and not update.main and self._given.against is None:
            return Text("Push main first: a draft is compared with what was published.")
        return None

    def check(self, update: Update) -> Draft:
        """What the commit would become as a release.

        Raises:
            GitError: it cannot be read.
        """
        return releases.check(self._repo.tree(update.new, self._given.limits), self._given)

    def keep(self, draft: Draft, update: Update) -> Accepted:
        """Keep the files' bytes; what publishing needs.

        Raises:
            OSError: they cannot be kept. GitError: they cannot be read. `take_back` then.
        """
        for one in draft.files:
            self._blobs.put(draft.content(one.path), self._made)
        return Accepted(
            course=draft.course, commit=update.new, author=draft.author,
            notes=self._repo.message(update.new),
            about=draft.tree.read(COURSE_FILE).decode("utf-8-sig"), zone=self._given.zone,
            files=draft.files,
        )

    def take_back(self) -> None:
        """The push comes to nothing: what was kept of it alone is not needed."""
        self._blobs.take_back(self._made)
