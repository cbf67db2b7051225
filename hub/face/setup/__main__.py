"""`python -m hub.face.setup VERB`: what the Makefile calls."""

import sys
from collections.abc import Callable

from hub.face.setup import checks, system, verbs
from hub.face.setup.talk import Stop

VERBS: dict[str, Callable[[], None]] = {
    "run": verbs.run, "down": verbs.down, "status": verbs.status, "logs": verbs.logs,
    "doctor": verbs.doctor, "images": verbs.images, "clean": verbs.clean,
    "test": checks.test, "lint": checks.lint, "bench": checks.bench,
}


def main(arguments: list[str]) -> int:
    """Run one verb. Exit code 2 for an unknown one, 1 with a reason when it cannot be done."""
    verb = VERBS.get(arguments[0]) if len(arguments) == 1 else None
    if verb is None:
        print(f"verbs: {', '.join(VERBS)}", file=sys.stderr)
        return 2
    try:
        system.become_root()
        verb()
    except Stop as e:
        print(f"\nmadang: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nmadang: interrupted; run it again to go on where it stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
