"""What was filled into Lab's form, as the service takes it; every mistake is one clear line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from madang import jobs_parameters, typed
from madang.client import Problem
from madang.messages import t

_MOST_RETRIES = 10


def run_body(model: Any, path: Path, image: str) -> tuple[dict[str, Any], str]:
    """(a job as POST /runs takes it, what goes with it). It reads and packs files: in a thread.

    Raises:
        Problem: what was filled in cannot be.
    """
    options = model.runtime_environment_parameters or {}
    body, note = _notebook(path, with_folder=bool(model.package_input_folder))
    more = {
        "retries": _retries(options), "group": str(options.get("group") or ""),
        "secrets": _names(options.get("secrets")), "notify": _names(options.get("notify")),
    }
    return {
        **body, "profile": model.compute_type, "image": image, "timeout": _timeout(options),
        "parameters": jobs_parameters.values(body["notebook"], model.parameters or {}),
        **{k: x for k, x in more.items() if x},
    }, note


def schedule_body(model: Any, path: Path, image: str) -> tuple[dict[str, Any], str]:
    """(a job definition as POST /schedules takes it, what goes with it).

    Raises:
        Problem: what was filled in cannot be.
    """
    if not model.schedule:
        raise Problem(t("a schedule needs its times: a cron expression"))
    options = model.runtime_environment_parameters or {}
    body, note = run_body(model, path, image)
    return {
        **body, "name": model.name, "cron": model.schedule, "zone": model.timezone or "",
        "catch_up": str(options.get("catch_up") or "none").replace(" ", ""),
        "overlap": str(options.get("overlap") or "skip"),
    }, note


def schedule_changes(model: Any, path: Path | None, *, with_folder: bool) -> dict[str, Any]:
    """What PATCH /schedules/ID is told; `path`: a notebook that takes the place of its own.

    Raises:
        Problem: the notebook cannot be read.
    """
    found: dict[str, Any] = {
        "name": model.name, "cron": model.schedule, "zone": model.timezone,
        "paused": None if model.active is None else not model.active,
    }
    body = _notebook(path, with_folder=with_folder)[0] if path is not None else {}
    return body | {k: x for k, x in found.items() if x is not None}


def parameter_changes(given: Mapping[str, str], own: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed otherwise than the schedule has it."""
    found = {name: typed.value(text) for name, text in given.items() if text.strip()}
    return {k: x for k, x in found.items() if k not in own or own[k] != x}


def _notebook(path: Path, *, with_folder: bool) -> tuple[dict[str, Any], str]:
    notebook = typed.notebook(path)
    try:
        where, note = typed.place(path, None, snapshot=with_folder)
    except Problem as e:
        hint = t("In Lab: leave “Run job with input folder” unticked, then it runs there.")
        raise Problem(f"{e}. {hint}") from e
    return {"notebook_name": path.name, "notebook": notebook, **where}, note


def _names(text: object) -> list[str]:
    """What stands between commas or blanks."""
    return str(text or "").replace(",", " ").split()


def _timeout(options: Mapping[str, Any]) -> int:
    text = str(options.get("timeout") or "").strip()
    try:
        return typed.seconds(text)
    except Problem as e:
        raise Problem(
            t("a time limit is seconds, or 30m, 3h, 1h30m, 1d, not {text}", text=repr(text))
        ) from e


def _retries(options: Mapping[str, Any]) -> int:
    text = str(options.get("retries") or 0).strip()
    if not text.isdecimal() or int(text) > _MOST_RETRIES:
        raise Problem(t(
            "tries after a loss are a number from 0 to {most}, not {text}", most=_MOST_RETRIES,
            text=repr(text),
        ))
    return int(text)
