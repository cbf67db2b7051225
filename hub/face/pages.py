"""The pages that people see: the room at a glance, the API's documentation, errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from hub.errors import Refusal
from hub.face import words
from hub.face.login import Login, PageVisitor

HERE = Path(__file__).parent
router = APIRouter(include_in_schema=False)
PAGES = frozenset({"", "docs", "oauth_callback"})  # below the prefix; all else answers JSON
# every text that static/service.js shows; a key that is missing there is a red test
SPOKEN = (
    "free", "in use", "ending", "out of order", "missing", "busy", "not cut", "yours",
    "GPU {index}", "{used} of {total} GiB", "{total} GiB",
    "Nobody waits.", "{position}. {profile}", "you", "somebody", "since {time}",
    "You hold no slice and wait for none.", "Nobody holds or waits for a slice.", "No runs yet.",
    "waiting", "granted", "running", "starting", "stopping",
    "succeeded", "failed", "cancelled", "interrupted", "timed-out", "out-of-memory",
    "kernel-died", "lost",
    "JupyterLab", "run", "cell {done} of {total}", "Log", "Cancel", "Leave the line", "Give back",
    "End {name}? It stops, and what is not saved is lost.",
    "Live", "The connection is lost; trying again …", "Madang sees no GPU.",
)


@dataclass(frozen=True)
class Page:
    """What every template takes. `texts` is for the script; `title` is translated."""

    prefix: str
    language: str
    title: str
    name: str = ""
    is_operator: bool = False
    xsrf: str = ""
    message: str = ""
    texts: Mapping[str, str] | None = None


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE / "templates" / "service"), autoescape=True,
        undefined=StrictUndefined,
    )


_TEMPLATES = _environment()


def _render(template: str, page: Page, status: int = 200) -> HTMLResponse:
    html = _TEMPLATES.get_template(template).render(page=page, _=words.speaker(page.language))
    return HTMLResponse(html, status_code=status, headers={"Content-Language": page.language})


def language_of(request: Request) -> str:
    """The language of whoever asks."""
    return words.choose(request.headers.get("accept-language"))


@router.get("/")
async def room(request: Request, visitor: PageVisitor) -> Response:
    """Every GPU with its slices, the line, and what is the visitor's."""
    language = language_of(request)
    login: Login = request.app.state.login
    return _render("room.html", Page(
        prefix=request.app.state.prefix, language=language, title=words.say(language, "The room"),
        name=visitor.name, is_operator=visitor.is_operator, xsrf=login.xsrf(request),
        texts={x: words.say(language, x) for x in SPOKEN},
    ))


@router.get("/docs")
async def docs(request: Request, visitor: PageVisitor) -> Response:
    """The API, to read and to try out in one's own session."""
    language = language_of(request)
    login: Login = request.app.state.login
    return _render("docs.html", Page(
        prefix=request.app.state.prefix, language=language, title="API", name=visitor.name,
        xsrf=login.xsrf(request),
    ))


@router.get("/oauth_callback")
async def callback(request: Request) -> Response:
    """The hub sends the browser back here."""
    login: Login = request.app.state.login
    return await login.callback(request)


@router.get("")
async def without_slash(request: Request) -> Response:
    """Relative addresses need the slash."""
    return RedirectResponse(request.app.state.prefix, status_code=308)


def refused(request: Request, refusal: Refusal) -> Response:
    """A refusal as a page."""
    language = language_of(request)
    return _render("error.html", Page(
        prefix=request.app.state.prefix, language=language,
        title=words.say(language, "This did not work"),
        message=words.refusal(language, refusal),
    ), refusal.status)


def is_page(request: Request) -> bool:
    """Whether a person looks at the answer."""
    return request.url.path.removeprefix(request.app.state.prefix) in PAGES


class Assets(StaticFiles):
    """Files that the browser asks about every time: a new version must be seen at once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, or 304."""
        answer = await super().get_response(path, scope)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


def assets() -> Mapping[str, Any]:
    """Mounts below the prefix: ours, and Swagger UI from the package that carries it."""
    swagger = str(files("fastapi_swagger") / "resources")
    ours = Assets(directory=HERE / "static")
    return {"static/swagger": Assets(directory=swagger), "static": ours}
