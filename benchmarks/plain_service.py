"""The plain design, as an HTTP service is usually written: one request is one call of torch, eager, in a thread.

    python benchmarks/plain_service.py RUN/bundle --port 8081

FastAPI and uvicorn, the checkpoint's weights in float32, `eval` and `inference_mode`, an endpoint without `async`,
which FastAPI runs in its pool of threads. It is given what makes it fast: our own decoding and geometry, httptools and
uvloop, no access log, and a choice of torch's threads.
"""

import argparse
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI, UploadFile

from mlops_cls.benchmarking.sides import find_model
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.pictures import load_picture


def create_app(model: Path, threads: int) -> FastAPI:
    """Return the service of a run or a bundle with weights; the model is loaded in its lifespan."""
    loaded: list[ImageClassifier] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> Any:
        torch.set_num_threads(threads)
        _, classifier = find_model(model)
        assert classifier is not None, "a bundle without weights: python -m mlops_cls.export RUN --weights"
        loaded.append(classifier.eval())
        yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/ready")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/predict")
    def predict(file: UploadFile) -> dict[str, Any]:
        return answer(loaded[0], file.file.read())

    return app


@torch.inference_mode()
def answer(classifier: ImageClassifier, data: bytes) -> dict[str, Any]:
    """Return the class of one picture and all probabilities."""
    card = classifier.card
    pixels = load_picture(data, **card.preprocess.geometry).pixels
    logits = classifier(torch.from_numpy(pixels).permute(2, 0, 1)[None])
    probabilities = (logits[0] / card.calibration.temperature).softmax(0).tolist()
    best = max(range(len(probabilities)), key=probabilities.__getitem__)
    return {
        "label": card.classes[best],
        "confidence": probabilities[best],
        "probabilities": dict(zip(card.classes, probabilities, strict=True)),
    }


def main(arguments: list[str] | None = None) -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="RUN", help="a run, or a bundle with weights")
    parser.add_argument("--port", type=int, default=8081)
    parser.add_argument("--threads", type=int, default=1, help="of torch for one picture (1)")
    options = parser.parse_args(arguments)
    app = create_app(options.model, options.threads)
    uvicorn.run(app, host="127.0.0.1", port=options.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
