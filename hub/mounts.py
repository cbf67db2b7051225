"""The read-only data of a person's courses, as their containers see them."""

import logging
from collections.abc import Mapping
from pathlib import Path

from hub.core import roster
from hub.core.courses import data_path
from hub.edge.courserows import CourseStore
from hub.edges import Edges

log = logging.getLogger("madang.courses")


def courses(data: Path, edges: Edges, user: str) -> Mapping[Path, str]:
    """Folder of this machine → where a container of this person sees it.

    A course whose folder is not there is left out: Docker would make it, for nobody. No container
    stays down because of a course.
    """
    try:
        groups = roster.groups_of(edges.store.members(), user)
        found = CourseStore(edges.store).courses(groups) if groups else []
    except Exception:
        log.exception("%s gets a container without the data of courses", user)
        return {}
    folders = {data / "coursedata" / x.name: str(data_path(x.name, 0).parent) for x in found}
    return {k: x for k, x in folders.items() if k.is_dir()}
