"""The bodies that clients get: one shape for every answer."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mlops_cls.service.problems import Problem


class Options(BaseModel):
    """What a client may ask for besides, in the query or in fields of the form."""

    model_config = ConfigDict(extra="forbid")

    top: int | None = Field(None, ge=1, description="Give the probabilities of so many classes only.")
    threshold: float | None = Field(
        None, ge=0, le=1, description="Abstain below this confidence, instead of below the model's own threshold."
    )


class Prediction(BaseModel):
    """The answer for one picture."""

    id: str = Field(description="Names this answer, for POST /feedback.", examples=["4f0c…-0"])
    label: str = Field(examples=["Ankle boot"])
    index: int = Field(description="Of the label in the model's classes.", examples=[9])
    confidence: float = Field(description="Calibrated probability of the label.", examples=[0.97])
    probabilities: dict[str, float] = Field(
        description="By class, most probable first.", examples=[{"Ankle boot": 0.97, "Sneaker": 0.02, "Bag": 0.01}]
    )
    attributes: dict[str, Any] = Field(description="Of the label.", examples=[{"is_cancer": False}])
    abstains: bool = Field(description="Not sure enough: a person should look at the picture.", examples=[False])


class SamplePrediction(Prediction):
    """The answer for a sample, and what it should be."""

    true_label: str = Field(examples=["Ankle boot"])
    true_label_index: int = Field(description="Of the true label in the model's classes.", examples=[9])


class Sample(BaseModel):
    """A test picture that came with the model."""

    id: int
    label: str = Field(description="The true one.", examples=["Ankle boot"])


class Samples(BaseModel):
    """All samples."""

    samples: list[Sample]


class Refused(BaseModel):
    """In place of an answer, where one picture of a batch was refused."""

    id: str
    problem: Problem


class _Body(BaseModel):
    model_config = ConfigDict(protected_namespaces=())  # model_version is the field's usual name

    request_id: str
    model_version: str = Field(examples=["3f9a1c0d5e7b"])


class Predictions(_Body):
    """An answer for each picture, in the order in which they were sent."""

    predictions: list[Prediction]


class SamplePredictions(_Body):
    """The answer for a sample."""

    predictions: list[SamplePrediction]


class BatchPredictions(_Body):
    """An answer or a refusal for each picture, in the order in which they were sent."""

    predictions: list[Prediction | Refused]


class Health(BaseModel):
    """The process lives; `model_loaded` tells whether it can answer, too."""

    model_config = ConfigDict(protected_namespaces=())

    status: str = Field(examples=["ok"])
    model_loaded: bool
    model_version: str | None


class Ready(BaseModel):
    """The model is loaded."""

    status: str = Field(examples=["ready"])
