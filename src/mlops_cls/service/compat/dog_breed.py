"""As the service for breeds of dogs answered: the breed, and what the grey picture is like."""

import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from mlops_cls.monitoring.statistics import greys, measure
from mlops_cls.service.compat.one import FORM, PROBLEMS, TAG, answer_named
from mlops_cls.service.decoding import Fitted
from mlops_cls.service.routes.deps import ServiceOf

LONGEST = 255
EDGE = 100.0
"""Grey levels by which the picture changes across three pixels (Sobel's operator) at what counts as an edge."""

router = APIRouter(tags=[TAG])


class DogBreedAnswer(BaseModel):
    """The statistics are of the picture as the model sees it, in grey levels from 0 to 255."""

    filename: str = Field(description="As it was sent, without folders.", examples=["rex.jpg"])
    predicted_breed: str = Field(examples=["beagle"])
    mean: float
    std: float
    median: float
    min: float
    max: float
    entropy: float = Field(description="Of the grey levels, 0 to 8 bits.")
    edge_density: float = Field(description="Share of the pixels that are an edge.")


@router.post(
    "/predict/", responses=PROBLEMS, openapi_extra=FORM, summary="As of dog_breed", operation_id="dog_breed_predict"
)
async def predict(request: Request, service: ServiceOf) -> DogBreedAnswer:
    """Classify one picture, and measure it."""
    seen, form = await answer_named(request, service)
    return DogBreedAnswer(
        filename=_clean(form.names[0]), predicted_breed=seen.prediction.label, **statistics_of(seen.loaded)
    )


def statistics_of(fitted: Fitted) -> dict[str, float]:
    """Return the seven statistics of a picture; those that a model's reference has too are the same numbers."""
    pixels = fitted.pixels[None]
    (grey,) = next(greys(pixels))
    known = measure(pixels, [fitted.sides])
    numbers = {
        "mean": known["brightness"][0],
        "std": known["contrast"][0],
        "median": np.median(grey),
        "min": grey.min(),
        "max": grey.max(),
        "entropy": known["entropy"][0],
        "edge_density": _edge_density(grey),
    }
    return {name: float(number) for name, number in numbers.items()}


def _edge_density(grey: np.ndarray) -> float:
    around = np.pad(grey, 1, mode="edge")
    # Sobel's operator: the difference of one direction, smoothed along the other.
    across = around[:, 2:] - around[:, :-2]
    down = around[2:] - around[:-2]
    horizontal = across[:-2] + 2 * across[1:-1] + across[2:]
    vertical = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
    return float((np.hypot(horizontal, vertical) / 4 > EDGE).mean())


def _clean(name: str) -> str:
    """Return a name for the client that gave it, which has no folder and cannot upset what prints it."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[:LONGEST]
