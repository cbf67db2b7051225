"""How a run that is repeated will differ from the first time, as far as that is known before."""

from collections.abc import Iterator, Mapping

from hub.core.runs import Run
from hub.edge.engine import Engine
from hub.edge.store import Store
from hub.errors import Text, Unknown
from hub.runfiles import RunFiles

_LOOKED_AT = 200  # newest runs among which one with the image of today is looked for
_NAMED = 8  # packages
_SHORT = 19  # letters of a digest: sha256: and the first of it


def differences(
    engine: Engine, store: Store, files: RunFiles, old: Run, new: Run
) -> tuple[Text, ...]:
    """What will not be the same; nothing where all that is known is."""
    return (*_asked(old, new), *_image(engine, store, files, old, new))


def _asked(old: Run, new: Run) -> Iterator[Text]:
    names = sorted(old.parameters.keys() | new.parameters.keys())
    for name in names:
        before, now = old.parameters.get(name), new.parameters.get(name)
        if before != now:
            yield Text(
                "{name} is {now}; it was {before}.", name=name, now=repr(now), before=repr(before)
            )
    if old.profile != new.profile:
        yield Text(
            "The slice is a {now}; it was a {before}.", now=new.profile, before=old.profile
        )


def _image(
    engine: Engine, store: Store, files: RunFiles, old: Run, new: Run
) -> Iterator[Text]:
    if old.image != new.image:
        yield Text("The image is {now}; it was {before}.", now=new.image, before=old.image)
    try:
        digest = engine.images().get(new.image, "")
    except Unknown:
        digest = ""
    if not digest or not old.digest:
        yield Text("Whether the image is the same build as then is not known.")
    elif digest != old.digest:
        yield Text(
            "The image is another build: {now}; it was {before}.", now=digest[:_SHORT],
            before=old.digest[:_SHORT],
        )
        now = _newest_record(store, files, old.user, digest)
        yield from _packages(files.record(old.id), now)


def _newest_record(
    store: Store, files: RunFiles, user: str, digest: str
) -> Mapping[str, object]:
    """What a run of this build has recorded; the same person's, who has packages of their own."""
    for run in store.runs(user=user, limit=_LOOKED_AT):
        if run.digest == digest and (record := files.record(run.id)):
            return record
    return {}


def _packages(before: Mapping[str, object], now: Mapping[str, object]) -> Iterator[Text]:
    was, there = before.get("packages"), now.get("packages")
    if not isinstance(was, dict) or not isinstance(there, dict):
        return
    changed = [
        f"{x} {was.get(x, '-')} → {there.get(x, '-')}"
        for x in sorted(was.keys() | there.keys()) if was.get(x) != there.get(x)
    ]
    if changed:
        rest = len(changed) - _NAMED
        yield Text(
            "Packages: {changed}.", changed=", ".join(changed[:_NAMED])
            + (f" (+{rest})" if rest > 0 else ""),
        )
