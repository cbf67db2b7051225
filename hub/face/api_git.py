"""Courses over git: smart HTTP, by git's own http-backend, behind the hub's tokens.

Whoever instructs a course reads and writes the repository that releases are made of; its members
read one of their own. To all others there is no such course.
"""

import base64
import binascii
import logging
import re
import socket
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from hub import metrics
from hub.core.courses import Author, is_course_name
from hub.core.names import safe_name
from hub.errors import NotAllowed, NotFound, Refusal
from hub.face import githook, pages, words
from hub.face.caller import Caller
from hub.face.gittalk import Talk
from hub.face.login import Login
from hub.publishing import Publishing
from hub.pushing import Backend, GitError

log = logging.getLogger("madang.git")
router = APIRouter(prefix="/git", include_in_schema=False)
AT_ONCE, OF_ONE = 32, 4  # requests of git; each is two or three processes
_REFS, _FETCH, _PUSH = "info/refs", "git-upload-pack", "git-receive-pack"
_PROTOCOL = re.compile(r"version=[0-2](:[a-z0-9=:-]{0,100})?", re.ASCII)
_REALM = {"WWW-Authenticate": 'Basic realm="Madang: your token as password"'}
_TIME = 1800.0  # seconds for one request: a slow line, and half a gigabyte
_SERVICES = {
    ("GET", _REFS): None, ("POST", _FETCH): _FETCH, ("POST", _PUSH): _PUSH,
}


@dataclass(frozen=True)
class Asked:
    """One request to one course; `service`: what it is part of, to fetch or to push."""

    course: str
    path: str
    service: str
    author: Author
    language: str
    writes: bool

    @property
    def pushing(self) -> bool:
        """Whether it is a push itself, and not what git asks before it."""
        return self.path == _PUSH


@router.api_route("/{course}.git/{path:path}", methods=["GET", "POST"])
async def git(course: str, path: str, request: Request) -> Response:
    """What git asks for."""
    try:
        caller = await _caller(request)
        if caller is None:
            text = words.say(pages.language_of(request), (
                "Give a token as the password: the hub's page Token makes one. Any user name will "
                "do."
            ))
            return PlainTextResponse(text + "\n", 401, headers=_REALM)
        asked = await to_thread.run_sync(_asked, request, caller, course, path)
    except Refusal as e:
        metrics.refused(e.reason)
        log.info("git %r refused (%s): %r", request.url.path, e.reason, e.detail[:500])
        # git shows a text to whoever asked
        said = words.refusal(pages.language_of(request), e)
        return PlainTextResponse(said + "\n", e.status)
    return _Answer(request, _publishing(request), asked)


async def _caller(request: Request) -> Caller | None:
    """Who asks, by a token alone: a browser sends its cookie for anybody's page."""
    login: Login = request.app.state.login
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    token = given.strip()
    if kind.lower() == "basic":
        try:
            token = base64.b64decode(token, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return None
    elif kind.lower() not in ("bearer", "token"):
        return None
    return await login.by_token(token) if token else None


def _publishing(request: Request) -> Publishing:
    found: Publishing = request.app.state.publishing
    return found


def _asked(request: Request, caller: Caller, course: str, path: str) -> Asked:
    """What is asked for, and whether the caller may have it.

    Raises:
        NotFound: there is no such course for this caller, or git is not to be asked so.
        NotAllowed: a member wants to write.
    """
    service = _SERVICES.get((request.method, path)) or request.query_params.get("service", "")
    if (request.method, path) not in _SERVICES or service not in (_FETCH, _PUSH):
        # the dumb protocol would hand out files of the repository as they lie
        raise NotFound("Only git itself can read here: git clone this address.")
    author = Author(caller.name, frozenset(caller.instructs), operator=caller.is_operator)
    found = _publishing(request).store.course(course) if is_course_name(course) else None
    if found is None:
        may = is_course_name(course) and (caller.is_operator or bool(caller.instructs))
        leads, reads = may, may and service == _PUSH
    else:
        leads = author.leads(found.group)
        reads = leads or found.group in caller.groups
    if not reads:
        raise NotFound(
            "There is no course {name} that you may see.", name=repr(course[:60]),
            detail=f"{caller.name}: {course!r}",
        )
    if service == _PUSH and not leads:
        raise NotAllowed(_why_not(caller), detail=f"{caller.name} pushes to {course}")
    return Asked(course, path, service, author, pages.language_of(request), writes=leads)


def _why_not(caller: Caller) -> str:
    if caller.withheld:
        return (
            "The token of a server carries no instructor's rights. Take one of your own from the "
            "hub's page Token."
        )
    return "Only instructors of this course may push to it."


class _Answer(Response):
    """Hands a request to git and its answer back, both in pieces as they come."""

    def __init__(self, request: Request, publishing: Publishing, asked: Asked) -> None:
        super().__init__()
        self._request = request
        self._publishing = publishing
        self._asked = asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it; one person has a few at once, or nobody else would come to a turn."""
        turns: Counter[str] = self._request.app.state.git_turns
        mine = self._asked.author.name
        if turns[mine] >= OF_ONE or turns.total() >= AT_ONCE:
            metrics.refused("busy")
            said = words.say(self._asked.language, "Too many at once. Try again in a minute.")
            later = {"Retry-After": "60"}
            await PlainTextResponse(said + "\n", 429, headers=later)(scope, receive, send)
            return
        turns[mine] += 1
        try:
            with anyio.move_on_after(_TIME):
                await self._serve(scope, receive, send)
        finally:
            turns.subtract([mine])

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        repo = await to_thread.run_sync(_repo, self._publishing, self._asked)
        try:
            await self._served(scope, receive, send, repo)
        finally:
            if self._asked.writes:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(self._publishing.leave, self._asked.course)

    async def _served(self, scope: Scope, receive: Receive, send: Send, repo: Path) -> None:
        ours, theirs = socket.socketpair()
        try:
            backend = await self._publishing.backend(
                repo, self._asked.path, request=_cgi(self._request, self._asked),
                more={githook.CHANNEL: str(theirs.fileno())}, keep=(theirs.fileno(),),
            )
        except GitError as e:
            ours.close()
            await self._broken(e, 503)(scope, receive, send)
            return
        finally:
            theirs.close()
        asked = self._asked
        talk = Talk(self._publishing, asked.course, asked.author, asked.language, ours)
        talk.start()
        try:
            await _exchange(receive, send, backend)
        except GitError as e:  # nothing was said yet
            await self._broken(e, 502)(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                # the hooks hold their end of the talk: they may have something to take back
                await backend.end(talk.join)
                await to_thread.run_sync(talk.join)

    def _broken(self, error: GitError, status: int) -> Response:
        """What git's failure is called to whoever asked; its words are for the operator."""
        metrics.refused("git")
        asked = self._asked
        log.error("git of %s for %s (%s): %s", asked.course, asked.author.name, asked.path, error)
        said = words.say(asked.language, (
            "The course's repository does not answer just now. Try again in a minute; if that does "
            "not help, tell the operator."
        ))
        return PlainTextResponse(f"{said}\n", status)


def _repo(publishing: Publishing, asked: Asked) -> Path:
    """Which repository this is about; made where there is none yet."""
    githook.install(publishing.hooks)
    if asked.writes:
        return publishing.enter(asked.course, push=asked.pushing).path
    repo = publishing.members_repo(asked.course)
    if not repo.there:
        repo = publishing.nothing()
        repo.make()
    return repo.path


def _cgi(request: Request, asked: Asked) -> dict[str, str]:
    """The request as CGI says it: what git reads of it, and nothing else."""
    headers = request.headers
    made = {
        "REQUEST_METHOD": request.method, "SERVER_PROTOCOL": "HTTP/1.1",
        "QUERY_STRING": f"service={asked.service}" if asked.path == _REFS else "",
        # it stands in the repository's log
        "REMOTE_USER": safe_name(asked.author.name), "REMOTE_ADDR": "madang",
    }
    if _PROTOCOL.fullmatch(headers.get("git-protocol", "")):
        made |= {"GIT_PROTOCOL": headers["git-protocol"]}
    if headers.get("content-type", "").isascii():
        made |= {"CONTENT_TYPE": headers.get("content-type", "")}
    if headers.get("content-length", "").isdecimal():
        made |= {"CONTENT_LENGTH": headers["content-length"]}
    if headers.get("content-encoding") in ("gzip", "x-gzip"):
        made |= {"HTTP_CONTENT_ENCODING": "gzip"}
    return made


async def _exchange(receive: Receive, send: Send, backend: Backend) -> None:
    """The body to git, its answer to whoever asked; ends when either is gone.

    Raises:
        GitError: git has no answer; nothing was sent. HTTPException: far too much was sent.
    """
    failed: list[HTTPException | GitError] = []  # raised outside of the group, which wraps them

    async def pump() -> None:
        try:
            await _send_body(receive, backend)
        except HTTPException as e:
            failed.append(e)
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(pump)
        try:
            status, headers = await backend.head()
        except GitError as e:
            failed.append(e)
        else:
            await send({
                "type": "http.response.start", "status": status,
                "headers": [(k.lower().encode(), x.encode("latin-1")) for k, x in headers],
            })
            async for piece in backend.body():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        group.cancel_scope.cancel()
    if failed:
        raise failed[0]


async def _send_body(receive: Receive, backend: Backend) -> None:
    """Until whoever sends it is gone."""
    listening = True
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        piece = message.get("body", b"")
        if piece and listening:
            listening = await backend.write(piece)
        if not message.get("more_body", False):
            await backend.end_of_body()
