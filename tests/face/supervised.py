"""A supervisor of stand-in programs, for test_serve: python -m tests.face.supervised FOLDER."""

import os
import sys
from pathlib import Path

from hub.config import Settings
from hub.face.children import Program
from hub.face.serve import Supervisor, lock

# each writes down its pid and its end; "hub" has a child in a session of its own, as the real one
_PLAIN = """
import os, signal, sys, time
name, folder = sys.argv[1:]
open(f"{folder}/{name}.pids", "a").write(f"{os.getpid()}\\n")
def end(*_):
    open(f"{folder}/ends", "a").write(f"{name}\\n")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
print(name, "is up", flush=True)
while True:
    time.sleep(0.05)
"""
_PARENT = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {_PLAIN!r}, "service", sys.argv[2]], start_new_session=True)
{_PLAIN}"""
_SHORT = 'import sys; open(f"{sys.argv[2]}/{sys.argv[1]}.pids", "a").write("0\\n"); sys.exit(3)'


def main(folder: Path, kind: str) -> None:
    def program(name: str, code: str) -> Program:
        def restarted() -> None:
            with (folder / "restarted").open("a") as file:
                file.write(f"{name}\n")

        argv = [sys.executable, "-c", code, name, str(folder)]
        return Program(name, argv, folder / f"{name}.log", patience=3, restarted=restarted)

    settings = Settings(data=folder / "data")
    hub = _SHORT if kind == "short" else _PARENT
    with lock(settings):
        (folder / "up").write_text(str(os.getpid()))
        Supervisor([program("proxy", _PLAIN), program("hub", hub)]).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
