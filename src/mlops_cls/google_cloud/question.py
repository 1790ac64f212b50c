"""What a new revision is asked before others may ask it: whether it is ready, and a picture."""

import io
import time
from dataclasses import dataclass
from typing import Any

from mlops_cls.bundle import Bundle
from mlops_cls.card import ModelCard
from mlops_cls.errors import ArtifactError

PATIENCE = 60  # seconds for an answer: an instance may have to start for it
TRIES, PAUSE = 10, 2.0
"""How often, and after how many seconds, a service that says it cannot now is asked again."""
NEAR = 0.1
"""How far a probability may lie from that of the bundle's sample: a back end in 8 bits rounds."""
FORBIDDEN = (
    "may this account ask it? gcloud run services add-iam-policy-binding SERVICE --member=… --role=roles/run.invoker"
)


@dataclass(frozen=True, slots=True)
class Question:
    """A picture, and what the bundle that is to be served says of it; `label` is None where it says nothing."""

    picture: bytes
    card: ModelCard
    label: str | None = None
    confidence: float = 0.0

    @classmethod
    def of(cls, bundle: Bundle) -> "Question":
        """Return the surest of a bundle's samples, or a grey picture if it has none."""
        if not bundle.samples:
            return cls(_grey(bundle.card), bundle.card)
        answers = [(max(one["probabilities"].items(), key=lambda pair: pair[1]), one["file"]) for one in bundle.samples]
        (label, confidence), file = max(answers, key=lambda answer: answer[0][1])
        return cls(file.read_bytes(), bundle.card, label, confidence)

    def ask(self, address: str, headers: dict[str, str]) -> str:
        """Return what the service at an address answered.

        Args:
            address: without a slash at its end.
            headers: by which the service knows who asks.

        Raises:
            ArtifactError: it did not answer, refused, or answered otherwise than its bundle.
        """
        _get(f"{address}/ready", headers)
        answer = _get(f"{address}/predict", headers, picture=self.picture)
        try:
            version, first = answer["model_version"], answer["predictions"][0]
            label, confidence = str(first["label"]), float(first["confidence"])
        except (LookupError, TypeError, ValueError) as error:
            raise ArtifactError(f"{address}/predict gives no answer of mlops_cls: {str(answer)[:200]}") from error
        if version != self.card.digest:
            raise ArtifactError(f"it answers by model {version}, and the bundle is {self.card.digest}")
        if label not in self.card.classes:
            raise ArtifactError(f"it answers {label!r}, which is no class of the bundle")
        if self.label and (label != self.label or abs(confidence - self.confidence) > NEAR):
            raise ArtifactError(
                f"it answers {label} ({confidence:.2f}) of a sample that is {self.label} ({self.confidence:.2f}) "
                "to its bundle"
            )
        return f"{label} ({confidence:.2f}) by model {version}"


def _get(url: str, headers: dict[str, str], *, picture: bytes | None = None) -> Any:
    """Return the JSON of a GET, or of a POST of a picture."""
    import requests

    form = {"file": ("sample", picture)} if picture is not None else None
    for attempt in range(TRIES):
        try:
            answer = requests.request(
                "POST" if form else "GET", url, headers=headers, files=form, timeout=PATIENCE, allow_redirects=False
            )
        except requests.RequestException as error:
            raise ArtifactError(f"{url} does not answer ({type(error).__name__})") from error
        if answer.status_code not in (429, 503) or attempt == TRIES - 1:
            break
        time.sleep(PAUSE)
    if answer.status_code != 200:
        raise ArtifactError(f"{url} answered {answer.status_code}{_why(answer)}")
    try:
        return answer.json()
    except ValueError as error:
        raise ArtifactError(f"{url} answered, and no JSON") from error


def _why(answer: Any) -> str:
    if answer.headers.get("Content-Type", "").startswith("application/problem+json"):
        return f": {answer.json().get('detail', '')}"
    return f": {FORBIDDEN}" if answer.status_code in (401, 403) else ""


def _grey(card: ModelCard) -> bytes:
    from PIL import Image

    side, file = card.preprocess.size, io.BytesIO()
    Image.new("L", (side, side), 128).save(file, "PNG")
    return file.getvalue()
