"""As the service for faces answered: our own answer, with two fields of its first picture on top."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field

from mlops_cls.service import shapes
from mlops_cls.service.compat.one import TAG
from mlops_cls.service.routes.deps import ServiceOf
from mlops_cls.service.routes.predict import FORM, PROBLEMS, answer_all

router = APIRouter(tags=[TAG])


class EmotionAnswer(shapes.Predictions):
    """An answer for each picture, and the first one's label and confidence under their older names."""

    emotion: str = Field(examples=["happy"])
    confidence: float = Field(examples=[0.8])


@router.post("/predict", responses=PROBLEMS, openapi_extra=FORM, summary="Classify pictures", operation_id="predict")
async def predict(request: Request, service: ServiceOf, options: Annotated[shapes.Options, Query()]) -> EmotionAnswer:
    """Classify one or several pictures; one that is refused refuses them all."""
    body = await answer_all(request, service, options)
    first = body.predictions[0]
    return EmotionAnswer(**body.model_dump(), emotion=first.label, confidence=first.confidence)
