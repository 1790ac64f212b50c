"""`create_app`: the parts of the service put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from mlops_cls.predictor import Predictor
from mlops_cls.service import logs, problems
from mlops_cls.service.collecting import make_collector
from mlops_cls.service.compat.install import add_compat
from mlops_cls.service.describing import describe
from mlops_cls.service.engine import Service
from mlops_cls.service.exchanges import Exchanges, Traffic
from mlops_cls.service.guards.install import add_guards
from mlops_cls.service.holding import Holding
from mlops_cls.service.metrics import Metrics
from mlops_cls.service.request_ids import RequestIds
from mlops_cls.service.routes import docs, feedback, health, metrics, monitoring, page, predict, samples
from mlops_cls.service.settings import Settings, listed
from mlops_cls.service.states import States
from mlops_cls.service.watching import Watch

DESCRIPTION = """Classifies pictures. Send one as a form: `curl -F file=@picture.jpg …/predict`

Probabilities are calibrated; `abstains` says that a person should look. Every refusal is a problem (RFC 9457) with a
`code` for programs and a `detail` for people."""

ROUTES = (predict, samples, health, monitoring, metrics, feedback, page)
HELD = 4
"""Requests of the largest size that may be on their way together; of smaller ones as many more."""


def create_app(predictor: Predictor | None = None, settings: Settings | None = None) -> FastAPI:
    """Return the service as an ASGI app.

    Args:
        predictor: of a loaded model; None: `settings.model` is loaded once the app has started, and until then
            `GET /ready` and whatever needs the model answer 503.
        settings: see `Settings`; None: all as they are by default.
    """
    settings = settings or Settings()
    service = Service(settings, predictor)
    app = FastAPI(
        title="mlops_cls",
        description=DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,  # FastAPI's own page loads its parts from another host
        redoc_url=None,
        openapi_url="/openapi.json" if settings.docs else None,
    )
    app.state.service, app.state.watch, app.state.collector = service, Watch(), make_collector(settings)
    service.parts.append(app.state.watch.beside)
    if app.state.collector:
        service.parts.append(app.state.collector.beside)
    _add_routes(app, settings)
    _add_middleware(app, settings, _watched(app, service))
    return app


def _add_routes(app: FastAPI, settings: Settings) -> None:
    problems.install(app)
    add_compat(app, listed(settings.compat))
    for routes in ROUTES:
        app.include_router(routes.router)
    if settings.docs:
        app.include_router(docs.router)
    describe(app, settings)


def _add_middleware(app: FastAPI, settings: Settings, traffic: Traffic) -> None:
    # The last that is added is the outermost.
    app.add_middleware(problems.Unexpected)
    app.add_middleware(Holding, most=HELD * settings.max_request_bytes)
    add_guards(app, settings)
    app.add_middleware(Exchanges, traffic=traffic, described=app.openapi)
    app.add_middleware(logs.Traces)
    app.add_middleware(RequestIds)


def _watched(app: FastAPI, service: Service) -> Traffic:
    """Have the metrics and the log told of everything."""
    counted = app.state.metrics = Metrics()
    traffic = Traffic([counted.exchanged, logs.log_exchange])
    counted.registry.register(States(service, traffic, app.state.watch, app.state.collector))
    service.parts.append(counted.beside)
    service.on_decoded, service.on_computed = counted.decoded, counted.computed
    return traffic


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load beside the running server, so that whoever asks for /health or /ready gets an answer meanwhile."""
    service: Service = app.state.service
    given = service.predictor is not None
    app.openapi()  # else the first request would wait for it, a third of a second
    loading = asyncio.create_task(service.start())
    if given:
        await loading
    try:
        yield
    finally:
        await loading
        await service.stop()
