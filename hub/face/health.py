"""What machines ask: is it alive, and the numbers; and the dashboard that shows them."""

import logging
from pathlib import Path

import anyio
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request
from starlette.responses import FileResponse, JSONResponse, Response

from hub import metrics
from hub.errors import NotAllowed
from hub.face.api import Parts
from hub.face.ticker import Ticker
from hub.face.views import ErrorOut, HealthOut

log = logging.getLogger("madang.service")
router = APIRouter()
_DATABASE = 5.0  # seconds that the database may take
DASHBOARD = Path(__file__).parent / "grafana" / "madang.json"


@router.get("/health", response_model=HealthOut, responses={503: {"model": HealthOut}})
async def health(request: Request) -> JSONResponse:
    """Open to all. 503 when the database does not answer or ticks have stopped."""
    parts: Parts = request.app.state.parts
    ticker: Ticker = request.app.state.ticker
    database = await _database(parts, request.app.state.health_thread)
    good = database == "ok" and not ticker.late
    age = None if ticker.age is None else round(ticker.age, 1)
    shown = HealthOut(status="ok" if good else "failing", last_tick_s=age, database=database)
    return JSONResponse(shown.model_dump(), status_code=200 if good else 503)


async def _database(parts: Parts, thread: CapacityLimiter) -> str:
    try:
        # a thread of its own: health must answer when every other thread waits
        with anyio.fail_after(_DATABASE):
            await to_thread.run_sync(parts.broker.state, limiter=thread, abandon_on_cancel=True)
    except TimeoutError:
        return "no answer"
    except Exception as e:  # noqa: BLE001 - health answers whatever is broken
        log.warning("health: the database: %s", e)
        return "failing"
    return "ok"


@router.get(
    "/metrics", response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        401: {"model": ErrorOut}, 403: {"model": ErrorOut}, 503: {"model": ErrorOut},
    },
)
async def scrape(request: Request) -> Response:
    """Prometheus metrics, for an operator or a token with the hub's scope `read:metrics`."""
    parts: Parts = request.app.state.parts
    caller = await parts.login.caller(request, scopes=frozenset({"read:metrics"}))
    if not (caller.is_operator or "read:metrics" in caller.scopes):
        raise NotAllowed("Metrics need an operator's token or the hub's scope read:metrics.")
    text, kind = await to_thread.run_sync(metrics.exposition, request.app.state.registry)
    return Response(text, media_type=kind)


@router.get(
    "/grafana.json", response_class=Response,
    responses={
        200: {"content": {"application/json": {"schema": {"type": "object"}}}},
        401: {"model": ErrorOut}, 403: {"model": ErrorOut}, 503: {"model": ErrorOut},
    },
)
async def dashboard(request: Request) -> Response:
    """The Grafana dashboard, for an operator: a file to import."""
    parts: Parts = request.app.state.parts
    caller = await parts.login.caller(request)
    if not caller.is_operator:
        raise NotAllowed("The dashboard is for operators.")
    return FileResponse(DASHBOARD, media_type="application/json", filename="madang.json")
