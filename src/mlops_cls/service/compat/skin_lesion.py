"""As the service for skin lesions answered."""

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from mlops_cls.errors import ConfigError
from mlops_cls.service.compat.one import FORM, PROBLEMS, TAG, answer_one
from mlops_cls.service.engine import Service
from mlops_cls.service.routes.deps import ServiceOf

ATTRIBUTE = "is_cancer"

router = APIRouter(tags=[TAG])


class SkinLesionAnswer(BaseModel):
    """`predicted_class` is the index of the diagnosis."""

    predicted_class: int = Field(examples=[1])
    diagnosis: str = Field(examples=["mel"])
    confidence: float = Field(examples=[0.91])
    is_cancer: bool
    probabilities: dict[str, float] = Field(examples=[{"mel": 0.91, "nv": 0.07, "bkl": 0.02}])


@router.post(
    "/inference",
    responses=PROBLEMS,
    openapi_extra=FORM,
    summary="As of skin_lesion",
    operation_id="skin_lesion",
)
async def inference(request: Request, service: ServiceOf) -> SkinLesionAnswer:
    """Classify one picture."""
    found = (await answer_one(request, service)).prediction
    return SkinLesionAnswer(
        predicted_class=found.index,
        diagnosis=found.label,
        confidence=found.confidence,
        is_cancer=found.attributes[ATTRIBUTE],
        probabilities=found.probabilities,
    )


@contextmanager
def check(service: Service) -> Iterator[None]:
    """Refuse a model that cannot tell what is cancer.

    Raises:
        ConfigError: its classes have no such attribute.
    """
    assert service.predictor is not None
    card = service.predictor.card
    if card.attributes.get(ATTRIBUTE, {}).keys() != set(card.classes):
        raise ConfigError(f"--compat skin_lesion: the model does not tell of each class whether it {ATTRIBUTE}")
    yield
