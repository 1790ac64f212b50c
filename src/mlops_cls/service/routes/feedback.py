"""``POST /feedback``: what a picture really showed, told later."""

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from mlops_cls.errors import did_you_mean, first_few
from mlops_cls.monitoring.records import ID
from mlops_cls.service.collecting import Collector
from mlops_cls.service.engine import RETRY_SECONDS
from mlops_cls.service.problems import Refusal, documented
from mlops_cls.service.routes.deps import ServiceOf

router = APIRouter(tags=["state"])
MEDIA = "application/json"


class Feedback(BaseModel):
    """What the picture of an earlier answer really shows."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str = Field(pattern=f"^{ID.pattern}$", description="Of the answer, from /predict.", examples=["4f0c-0"])
    label: str = Field(description="One of the model's classes.", examples=["Sneaker"])


async def _check_type(request: Request) -> None:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA:
        body = '{"id": "…", "label": "…"}'
        raise Refusal("wrong_type", f"Send JSON, such as curl -H 'Content-Type: {MEDIA}' -d '{body}'")


@router.post(
    "/feedback",
    dependencies=[Depends(_check_type)],
    status_code=202,
    responses=documented("not_collecting", "wrong_type", "too_large", "wrong_form", "busy", "not_ready"),
    summary="Tell what a picture really shows",
    operation_id="feedback",
)
async def feedback(request: Request, service: ServiceOf, told: Feedback) -> Feedback:
    """Keep the true label of a picture that was answered, by the id of its answer; the last one counts.

    An id is taken in whether or not this process knows it: another one may have given the answer, or it was long ago.
    """
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


def _check_label(label: str, classes: tuple[str, ...]) -> None:
    if label not in classes:
        shown = label[:100]
        near = did_you_mean(shown, classes)
        raise Refusal("wrong_form", f"label: {shown!r} is no class of this model{near} (allowed: {first_few(classes)})")
