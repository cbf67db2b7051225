"""Feedback on what was handed in, laid into a student's folder of the course."""

from collections.abc import Sequence
from pathlib import Path

from hub.core import handingin
from hub.core.courses import Collection, folder_of
from hub.core.handingin import Returned
from hub.edge.folders import Changed, Folder, Odd, opened
from hub.errors import Refusal
from hub.unpacking import Sent
from hub.updating import BACKUPS, keep_copy


def lay(
    found: Collection, user: str, home: Path, sent: Sent, files: Sequence[tuple[str, str]],
    most: int,
) -> Returned:
    """Lay files into a student's `feedback/<name>/`.

    Args:
        files: (path in what was sent, path below that folder).
        most: bytes of an earlier feedback that is kept as a copy.
    """
    where, laid, new, problem = f"{handingin.FEEDBACK}/{found.name}", 0, 0, ""
    try:
        with opened(home, str(folder_of(found.course)), make=True) as folder:
            for path, target in files:
                new += _write(folder, f"{where}/{target}", sent.read(path), most)
                laid += 1
            folder.sync()
    except FileNotFoundError:
        problem = "there is no home yet"
    except (Odd, Changed):
        problem = "something else stands in the way there"
    except Refusal as e:
        problem = e.message
    return Returned(user, laid, problem, new)


def _write(folder: Folder, path: str, content: bytes, most: int) -> bool:
    """In place of an earlier feedback, which its reader may have written into: a copy stays.

    False where it lies there already.
    """
    was = folder.read(path, most)
    if was.kind == "file" and was.content != content:
        keep_copy(folder, f"{BACKUPS}/{handingin.FEEDBACK}", path, was.content)
    if was.kind not in ("file", "absent"):
        raise Odd(was.problem or was.kind)
    if was.kind == "file" and was.content == content:
        return False
    folder.write(path, content, was=was)
    return True
