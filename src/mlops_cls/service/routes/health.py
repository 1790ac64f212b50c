"""Whether the service lives, whether it can answer, and what it answers with."""

from typing import Any

from fastapi import APIRouter

from mlops_cls.pictures import SUFFIXES
from mlops_cls.service import shapes
from mlops_cls.service.problems import documented
from mlops_cls.service.routes.deps import ServiceOf
from mlops_cls.service.settings import Settings, listed

router = APIRouter(tags=["state"])


@router.get("/health", summary="Does the process live?", operation_id="health")
async def health(service: ServiceOf) -> shapes.Health:
    """Say that the process lives; 200 whenever it does."""
    return shapes.Health(status="ok", model_loaded=service.ready, model_version=service.version)


@router.get("/ready", responses=documented("not_ready"), summary="Can it answer?", operation_id="ready")
async def ready(service: ServiceOf) -> shapes.Ready:
    """Say that the model is loaded; 503 until it is, and from when the service was told to end."""
    service.model()
    service.check_staying()
    return shapes.Ready(status="ready")


@router.get("/info", responses=documented("not_ready"), summary="What answers?", operation_id="info")
async def info(service: ServiceOf) -> dict[str, Any]:
    """Tell of the model, its scores with 95 % intervals, and what may be sent."""
    predictor = service.model()
    card = predictor.card.to_dict()
    shown = ("classes", "attributes", "preprocess", "architecture", "calibration", "scores", "intervals")
    return {
        "name": predictor.card.title,
        "model_version": service.version,
        "backend": predictor.backend,
        **{name: card[name] for name in shown},
        "created": card["export"].get("created"),
        "pictures": card["export"].get("tested"),
        "limits": _limits(service.settings),
        "samples": len(predictor.bundle.samples) if predictor.bundle else 0,
        "key_required": bool(service.settings.api_keys.get_secret_value()),
        "collect": service.settings.collect,
        "docs": service.settings.docs,
        "compat": listed(service.settings.compat),
    }


def _limits(settings: Settings) -> dict[str, Any]:
    formats = sorted(suffix.removeprefix(".") for suffix in SUFFIXES)
    names = ("max_bytes", "max_request_bytes", "max_pixels", "max_files")
    return {**{name: getattr(settings, name) for name in names}, "formats": formats}
