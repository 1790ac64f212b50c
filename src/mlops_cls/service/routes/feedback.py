"""``POST /feedback``: what a picture really showed, told later."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect

from mlops_cls.errors import did_you_mean, first_few
from mlops_cls.monitoring.records import ID
from mlops_cls.service.collecting import Collector
from mlops_cls.service.engine import RETRY_SECONDS, Service
from mlops_cls.service.problems import Refusal, documented, in_words
from mlops_cls.service.routes.deps import ServiceOf

router = APIRouter(tags=["monitoring"])
MOST_BYTES = 4096


class Feedback(BaseModel):
    """What the picture of an earlier answer really shows."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str = Field(pattern=f"^{ID.pattern}$", description="Of the answer, from /predict.", examples=["4f0c-0"])
    label: str = Field(description="One of the model's classes.", examples=["Sneaker"])


_BODY = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": Feedback.model_json_schema()}}},
}


@router.post(
    "/feedback",
    status_code=202,
    responses=documented("not_collecting", "timeout", "too_large", "wrong_form", "busy", "not_ready"),
    openapi_extra=_BODY,
    summary="Tell what a picture really shows",
    operation_id="feedback",
)
async def feedback(request: Request, service: ServiceOf) -> Feedback:
    """Keep the true label of a picture that was answered, by the id of its answer; the last one counts.

    An id is taken in whether or not this process knows it: another one may have given the answer, or it was long ago.
    """
    told = await _read(request, service)
    _check_label(told.label, service.model().card.classes)
    collector: Collector | None = request.app.state.collector
    if collector is None:
        raise Refusal("not_collecting", "Feedback is not kept here: start the service with --collect metadata.")
    if not collector.tell(told.id, told.label):
        headers = {"Retry-After": str(RETRY_SECONDS)}
        raise Refusal("busy", "Too much waits to be written already. Try again in a moment.", headers=headers)
    for listener in service.listeners:
        listener(told.id, told.label)
    return told


async def _read(request: Request, service: Service) -> Feedback:
    body = bytearray()
    try:
        async with asyncio.timeout(service.settings.read_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise Refusal("too_large", f"Feedback has at most {MOST_BYTES} bytes.")
        return Feedback.model_validate_json(bytes(body))
    except TimeoutError:
        raise Refusal("timeout", "The feedback did not arrive whole in time.") from None
    except ClientDisconnect:
        raise Refusal("wrong_form", "The feedback ends early.") from None
    except ValidationError as error:
        raise Refusal("wrong_form", in_words(_shown(error))) from None


def _shown(error: ValidationError) -> list[dict[str, Any]]:
    # `in_words` leaves out where FastAPI found it: the body.
    return [{"loc": ("body", *each["loc"]), "msg": each["msg"]} for each in error.errors()]


def _check_label(label: str, classes: tuple[str, ...]) -> None:
    if label not in classes:
        near = did_you_mean(label[:100], classes)
        raise Refusal("wrong_form", f"label: {label[:100]!r} is no class of this model{near} ({first_few(classes)})")
