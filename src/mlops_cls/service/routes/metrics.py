"""``GET /metrics``: what Prometheus reads."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from mlops_cls.service.metrics import OPENMETRICS, Metrics

router = APIRouter(tags=["state"])
_TEXT = {"schema": {"type": "string"}}


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "Everything that is counted", "content": {"text/plain": _TEXT, OPENMETRICS: _TEXT}}
    },
    summary="What is counted",
    operation_id="metrics",
)
def metrics(request: Request) -> Response:
    """Return everything that is counted, in Prometheus's text or, where it is accepted, as OpenMetrics."""
    counted: Metrics = request.app.state.metrics
    content, media = counted.text(request.headers.get("accept", ""))
    return Response(content, media_type=None, headers={"Content-Type": media})
