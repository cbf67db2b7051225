"""Handouts that are killed: `handout_worker FOLDER`; each line it is told is `VERB COURSE STEP`.

Each is a fork that kills itself with -9 right before its STEP-th call that changes something: a
file, a folder or the database. It answers "killed at FILE:LINE", or "done" where there are fewer.
"""

import os
import re
import signal
import sys
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from hub.broker import Broker
from hub.edge.gpu import Simulated
from hub.edge.homes import Homes
from hub.edge.store import Store
from hub.edges import Edges
from hub.handout import Handouts
from hub.publishing import Publishing
from tests.face.running import PaperEngine, PaperFirewall, PaperHubApi, settings_for
from tests.house.sources import ROOT

USER = "minji"
_FILES = ("edge/folders", "edge/folderio", "edge/courserows", "edge/store", "placing", "handdesk",
          "updating", "handout")
_CHANGES = re.compile(
    r"os\.(rename|unlink|link|symlink|mkdir|rmdir|chown|fchown|fchmod|fsync|open)\(|file\.\w+\(|"
    r"renameat2|\.replace\(folder|part\.replace|\.mkdir\(|rmtree|_sync\(|c\.execute|\.unlink\(|"
    r"change_beside|_put\(|exchange\(|name_new\(|put_back\("
)


@cache
def _steps(file: str) -> frozenset[int]:
    """Lines of a file of ours that change something."""
    if file not in {str(ROOT / "hub" / f"{x}.py") for x in _FILES}:
        return frozenset()
    lines = Path(file).read_text().splitlines()
    return frozenset(i for i, x in enumerate(lines, 1) if _CHANGES.search(x) and "def " not in x)


def handouts_at(folder: Path) -> Handouts:
    """As a service has them that comes up just now."""
    settings = settings_for(folder, notebook_mib=20)
    paper: dict[str, Any] = {
        "engine": PaperEngine(), "hub": PaperHubApi(), "firewall": PaperFirewall(),
    }
    gpus = Simulated(settings.simulated_dir / "madang.json", "node1", settings.simulated)
    store = Store(settings.database_url)
    edges = Edges(store=store, gpus=gpus, homes=Homes(settings), **paper)
    return Handouts(Publishing(Broker(settings, edges)))


def _work(folder: Path, verb: str, course: str, step: int, told: int) -> None:
    handouts = handouts_at(folder)
    left = step

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        lines = _steps(frame.f_code.co_filename)
        if event == "line" and frame.f_lineno in lines:
            left -= 1
            if not left:
                said = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                os.write(told, f"killed at {said}\n".encode())
                os.kill(os.getpid(), signal.SIGKILL)
        return trace if lines else None

    sys.settrace(trace)
    if verb == "undo":
        handouts.undo(USER, course, 2)
    else:
        handouts.hand_out(USER, course)
    sys.settrace(None)
    os.write(told, b"done\n")
    os._exit(0)


def main(folder: Path) -> None:
    """Until the pipe is closed."""
    for line in sys.stdin:
        verb, course, step = line.split()
        child = os.fork()
        if not child:
            _work(folder, verb, course, int(step), 1)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            os.write(1, b"failed\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
