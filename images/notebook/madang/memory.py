"""Whether the container's memory limit has killed something."""

from pathlib import Path

# cgroup v2, then v1; inside a container each is the container's own
_FILES = (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control"))


def _kills() -> int:
    for path in _FILES:
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, count = line.partition(" ")
            if name == "oom_kill" and count.strip().isdigit():
                return int(count)
    return 0


_AT_START = _kills()


def was_short() -> bool:
    """Whether the kernel (Linux's) has killed a process of this container since our start."""
    return _kills() > _AT_START
