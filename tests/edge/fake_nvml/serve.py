"""The real `Nvml` in a process of its own, on the fake library; calls come pickled on stdin.

A process, because the dynamic loader reads LD_LIBRARY_PATH only at the start of one, and because a
library once loaded would make the rest of the tests believe in a driver.
"""

import ctypes
import io
import logging
import os
import pickle
import sys
import threading

from hub.edge.gpu import Nvml, has_driver
from hub.errors import Refusal


def main() -> None:
    said = io.StringIO()
    logging.basicConfig(stream=said, format="%(message)s")
    late = float(os.environ.get("NVML_LATE", "10"))
    real = Nvml("here", late=late, first=late)
    fake = ctypes.CDLL("libnvidia-ml.so.1")
    while True:
        try:
            name, args = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent
        except EOFError:
            return
        try:
            if name.startswith("fake_"):
                args = [x.encode() if isinstance(x, str) else x for x in args]
                answer = ("value", getattr(fake, name)(*args))
            elif name == "said":
                answer = ("value", said.getvalue().splitlines())
            elif name == "looks_under_way":
                answer = ("value", sum(x.name == "madang-look" for x in threading.enumerate()))
            elif name == "has_driver":
                answer = ("value", has_driver())
            else:
                answer = ("value", getattr(real, name)(*args))
        except Refusal as e:
            answer = (type(e), (e.message, e.reason, e.status))
        except Exception as e:  # noqa: BLE001 - whatever it is, the test shall see it
            answer = (type(e), str(e))
        pickle.dump(answer, sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
