"""As the service for Fashion-MNIST answered."""

import secrets
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from mlops_cls.predictor import Prediction
from mlops_cls.service.compat.one import FORM, PROBLEMS, TAG, answer_one
from mlops_cls.service.problems import documented
from mlops_cls.service.routes import samples
from mlops_cls.service.routes.deps import ServiceOf

router = APIRouter(tags=[TAG])


class FmnistAnswer(BaseModel):
    """`prediction` is the label."""

    prediction: str = Field(examples=["Ankle boot"])
    prediction_index: int = Field(examples=[9])
    confidence: float = Field(examples=[0.97])


class FmnistSampleAnswer(FmnistAnswer):
    """What it should be, too."""

    true_label: str = Field(examples=["Ankle boot"])
    true_label_index: int = Field(examples=[9])


@router.post(
    "/predict/upload", responses=PROBLEMS, openapi_extra=FORM, summary="As of fmnist", operation_id="fmnist_upload"
)
async def upload(request: Request, service: ServiceOf) -> FmnistAnswer:
    """Classify one picture."""
    return FmnistAnswer(**_fields((await answer_one(request, service)).prediction))


@router.get(
    "/predict/sample/{sample_id}",
    responses=samples.PROBLEMS | documented("busy"),
    summary="As of fmnist",
    operation_id="fmnist_sample",
)
async def sample(sample_id: int, service: ServiceOf) -> FmnistSampleAnswer:
    """Classify a sample that came with the model."""
    seen, label = await samples.answer_sample(service, sample_id)
    index = samples.index_of(service, label)
    return FmnistSampleAnswer(**_fields(seen.prediction), true_label=label, true_label_index=index)


@router.get(
    "/sample/image",
    responses=samples.PICTURE | samples.PROBLEMS,
    response_class=Response,
    summary="As of fmnist",
    operation_id="fmnist_image",
)
def image(
    service: ServiceOf,
    dataset: Annotated[
        Literal["train", "val", "test"], Query(description="Has no effect: a model comes with test pictures alone.")
    ] = "test",
    size: Annotated[int, Query(ge=samples.SMALLEST, le=samples.LARGEST)] = samples.SIDE,
) -> Response:
    """Give any of the samples that came with the model."""
    return samples.image_of(service, secrets.randbelow(len(samples.samples_of(service))), size)


def _fields(found: Prediction) -> dict[str, object]:
    return {"prediction": found.label, "prediction_index": found.index, "confidence": found.confidence}
