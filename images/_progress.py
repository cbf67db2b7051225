"""What a build says while it runs, and why it failed."""

from __future__ import annotations

import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field

from _docker import BuildError

HINTS = (
    (
        r"[Nn]o space left on device",
        "The disk is full: `docker system df` shows what Docker holds, "
        "`docker builder prune` frees the cache of builds.",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|self-signed certificate",
        "A TLS certificate is not trusted. Behind an inspecting proxy give the host's "
        "bundle: --ca-bundle /etc/ssl/certs/ca-certificates.crt",
    ),
    (
        r"NewConnectionError|ReadTimeoutError|ConnectTimeoutError|Temporary failure|"
        r"name resolution|Could not resolve|Connection refused",
        "A package index could not be reached. Check the network, or set PIP_INDEX_URL "
        "(pip) or DEBIAN_MIRROR (Debian) to one that can.",
    ),
    (
        r"from versions: none",
        "The package index does not answer, or it does not know this name. Check the network "
        "and PIP_INDEX_URL, then the spelling.",
    ),
    (
        r"No matching distribution found|ResolutionImpossible",
        "pip found no set of packages. After a change of a *.txt run `images/build --relock`.",
    ),
)


STEP = re.compile(r"\[(?:\S+ )?( *\d+/\d+)\]( .*)|I: (.*)|(exporting to image)")
"""A step of BuildKit, one of mmdebstrap, or the writing of the layers."""


@dataclass
class Progress:
    """What a build says, told in one line in a terminal and a line a step elsewhere."""

    title: str
    terminal: bool = field(default_factory=sys.stderr.isatty)
    started: float = field(default_factory=time.monotonic)
    now: str = "starting"
    tails: dict[str, deque[str]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=30))
    )
    waiting: dict[str, str] = field(default_factory=dict)
    """Steps that were named and have not yet said anything, by BuildKit's number."""
    failed: str = ""
    """The step whose tail tells why it failed; the latest one by default."""

    def line(self, text: str) -> None:
        """Take one line of BuildKit's plain progress, or of mmdebstrap."""
        number, _, rest = text.partition(" ")
        if not re.fullmatch(r"#\d+", number):
            number, rest = "", text
        self.tails[number].append(re.sub(r"^\d+\.\d+ ", "", rest))
        if rest.startswith("ERROR"):
            self.failed = number
        if step := STEP.fullmatch(rest):
            words = re.sub(r"--mount=\S+", "", "".join(step.groups(""))).split()
            self.waiting[number] = " ".join(words)[:100]
        # BuildKit names all steps at once; a step has begun when it says
        # more than its digest and CACHED.
        elif number and rest.startswith("CACHED"):
            self.waiting.pop(number, None)
        if number in self.waiting and not (step and number) and not rest.startswith("sha256:"):
            self.now = self.waiting.pop(number)
            self.show(new=True)

    def show(self, *, new: bool = False) -> None:
        """Print where the build is; `new` when a step began."""
        seconds = time.monotonic() - self.started
        text = f"{self.title}  {seconds:4.0f} s  {self.now}"
        if self.terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\033[K{text[:width]}", end="", file=sys.stderr, flush=True)
        elif new:
            print(text, file=sys.stderr, flush=True)

    def done(self, word: str) -> None:
        """Close the line."""
        self.now = word
        self.show(new=True)
        if self.terminal:
            print(file=sys.stderr)

    def reason(self) -> str:
        """The last lines of what failed, and a hint where one is known."""
        tail = "\n".join(self.tails[self.failed or next(reversed(self.tails), "")])
        hint = next((text for pattern, text in HINTS if re.search(pattern, tail)), "")
        return f"{self.title} failed at: {self.now}\n{tail}\n{hint}".rstrip()


def follow(command: list[str], environment: dict[str, str], progress: Progress) -> None:
    """Run `command` and tell its progress every second; BuildError if it fails."""
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        with process:
            for line in process.stdout or ():
                lines.put(line.rstrip())
        lines.put(None)

    # A thread reads, so that the seconds go on while the build is silent.
    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=1)
        except queue.Empty:
            progress.show()
            continue
        if line is None:
            break
        progress.line(line)
    if process.wait():
        reason = progress.reason()
        progress.done("failed")
        raise BuildError(reason)
