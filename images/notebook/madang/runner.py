"""`python -I -m madang.runner JOB`: run one notebook once, and tell the truth about its end.

`-I`, or a `json.py` in the home would be imported instead of Python's; kernels are not isolated.

Exit codes: 0 all cells ran; 1 a cell raised, or the result could not be saved; 2 the job cannot be
done as it stands; 75 interrupted by SIGTERM, after saving; 124 out of time; 138 the kernel died.
On stdout: `madang: cell 3/12` when a cell begins, at the end `madang: <stage> <one line>`; all
else is what the cells print.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

from madang import lean
from madang.ahead import Ahead
from madang.stopping import Stop

REFUSED = 2


def main(arguments: list[str]) -> int:
    """Run the job named on the command line; the exit code."""
    stop = Stop()
    stop.on_signals()
    ahead = Ahead()
    try:
        lean.prepare()
        # not at the top: papermill takes long to import, and a SIGTERM in it must not be lost
        from madang.execution import refuse, run

        if len(arguments) != 1:
            refuse("usage: python -m madang.runner JOB.json")
            return REFUSED
        return run(Path(arguments[0]), stop, ahead)
    finally:
        ahead.dismiss()


if __name__ == "__main__":
    code = main(sys.argv[1:])
    with suppress(OSError, ValueError):  # nobody reads any more: the code is still told
        sys.stdout.flush()
    os._exit(code)  # all is saved and said; to take papermill down piece by piece takes a while
