"""The pages that people see: the board, the API's documentation, errors."""

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
from hub.face.spoken import SPOKEN

HERE = Path(__file__).parent
router = APIRouter(include_in_schema=False)
PAGES = frozenset({"", "docs", "oauth_callback", "report", "courses"})  # below the prefix
FOLDERS = ("runs/", "sweeps/", "courses/")  # pages, too; all else answers JSON
LANGUAGE_COOKIE = "madang-language"  # what the board's switch has chosen


@dataclass(frozen=True)
class Page:
    """What every template takes; `title` is translated.

    `languages`: code → its own name, for the switch. For the board's scripts: `texts`, `zone` (the
    house's time zone, in which all times are shown) and `instructs`, the groups that one leads.
    """

    prefix: str
    language: str
    title: str
    languages: Mapping[str, str]
    name: str = ""
    is_operator: bool = False
    xsrf: str = ""
    message: str = ""
    texts: Mapping[str, str] | None = None
    zone: str = "UTC"
    instructs: tuple[str, ...] = ()


def environment() -> Environment:
    """The service's templates."""
    return Environment(
        loader=FileSystemLoader(HERE / "templates" / "service"), autoescape=True,
        undefined=StrictUndefined,
    )


_TEMPLATES = environment()


def _render(template: str, page: Page, status: int = 200) -> HTMLResponse:
    html = _TEMPLATES.get_template(template).render(page=page, _=words.speaker(page.language))
    return HTMLResponse(html, status_code=status, headers={"Content-Language": page.language})


def language_of(request: Request) -> str:
    """The language of whoever asks: what the switch says, else the browser."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in words.languages():
        return chosen
    return words.choose(request.headers.get("accept-language"))


def page_of(request: Request, title: str, **rest: Any) -> Page:
    """What every template takes, for whoever asks."""
    language = language_of(request)
    return Page(
        prefix=request.app.state.prefix, language=language, title=title,
        languages={x: words.name(x) for x in words.languages()}, **rest,
    )


@router.get("/")
async def board(request: Request, visitor: PageVisitor) -> Response:
    """Every GPU with its slices, the line, what is the visitor's, and what is reserved."""
    language = language_of(request)
    state = request.app.state
    return _render("board.html", page_of(
        request, words.say(language, "The board"), name=visitor.name,
        is_operator=visitor.is_operator, instructs=visitor.instructs,
        xsrf=state.login.xsrf(request), zone=state.parts.broker.settings.timezone,
        texts={x: words.say(language, x) for x in SPOKEN},
    ))


@router.get("/docs")
async def docs(request: Request, visitor: PageVisitor) -> Response:
    """The API, to read and to try out in one's own session."""
    login: Login = request.app.state.login
    return _render("docs.html", page_of(
        request, "API", name=visitor.name, xsrf=login.xsrf(request),
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
    return _render("error.html", page_of(
        request, words.say(language, "This did not work"),
        message=words.refusal(language, refusal),
    ), refusal.status)


def is_page(request: Request) -> bool:
    """Whether a person looks at the answer."""
    path = request.url.path.removeprefix(request.app.state.prefix)
    return path in PAGES or path.startswith(FOLDERS)


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
