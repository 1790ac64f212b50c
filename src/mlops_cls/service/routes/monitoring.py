"""``GET /monitoring``: whether pictures or answers have changed since training."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from mlops_cls.service.watching import Watch

router = APIRouter(tags=["state"])


class Accuracy(BaseModel):
    """Of pictures whose true class people told, with Wilson's 95 % interval."""

    value: float
    low: float
    high: float
    pictures: int


class Test(BaseModel):
    """One comparison with the pictures and answers of training."""

    name: str = Field(examples=["brightness"])
    kind: str = Field(examples=["input"], description="input, embedding or prediction")
    test: str = Field(examples=["KS"], description="KS, MMD or chi2")
    statistic: float
    p: float
    p_adjusted: float = Field(description="corrected for all tests and all looks")
    effect: float = Field(description="0: no difference, 1: nothing in common")
    effect_name: str
    drift: bool = Field(description="no chance, and large enough to matter")
    reference: dict[str, float]
    now: dict[str, float]
    words: str


class Window(BaseModel):
    """An earlier look."""

    since: str
    until: str
    pictures: int
    drift: bool
    p_adjusted_least: float
    accuracy: Accuracy | None
    words: str


class Monitoring(BaseModel):
    """What the last look at the pictures came to."""

    format: int
    model: str = Field(description="its version")
    since: str | None
    until: str | None
    pictures: int = Field(description="that were looked at, or that are there where they are not enough")
    needed: int = Field(description="pictures for the first look")
    enough: bool = Field(description="without it nothing can be told")
    drift: bool
    alpha: float = Field(description="chance of a false alarm, over all looks since the start together")
    tests: list[Test]
    windows: list[Window]
    accuracy: Accuracy | None
    words: str = Field(examples=["No drift in 1,000 pictures."])


def _watch(request: Request) -> Watch:
    watch: Watch = request.app.state.watch
    return watch


@router.get("/monitoring", response_model=Monitoring, summary="Have the pictures changed?", operation_id="monitoring")
async def monitoring(watch: Annotated[Watch, Depends(_watch)]) -> Any:
    """Compare what came with training: how pictures look, what the network makes of them, and its answers.

    It costs nothing to ask: the service looks by itself each time that a quarter of its window is new, and may be asked
    as often as you like without more false alarms.
    """
    return Response(watch.json, media_type="application/json")
