"""As the service for sonar tiles of the seabed answered."""

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from mlops_cls.service.compat.one import FORM, PROBLEMS, TAG, answer_one
from mlops_cls.service.routes.deps import ServiceOf

router = APIRouter(tags=[TAG])


class SeabedAnswer(BaseModel):
    """`predictions` is the index of the label."""

    label: str = Field(examples=["Ripple 45"])
    predictions: int = Field(examples=[1])
    prediction_probability: list[float] = Field(description="Of each class, in the model's order.")


@router.post("/predict/", responses=PROBLEMS, openapi_extra=FORM, summary="As of seabed", operation_id="seabed_predict")
async def predict(request: Request, service: ServiceOf) -> SeabedAnswer:
    """Classify one picture."""
    found = (await answer_one(request, service)).prediction
    return SeabedAnswer(
        label=found.label, predictions=found.index, prediction_probability=list(found.probabilities.values())
    )
