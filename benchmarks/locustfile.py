"""Locust's users of the service; `load.py` starts it and reads what they saw.

Told by variables: LOAD_QUESTIONS, a folder of JPEGs with their labels in ``labels.json``; LOAD_WAIT, the least and the
most seconds between an answer and the next request; LOAD_OUT, where the answers go.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from clients import Answered, keep, label_of
from locust import FastHttpUser, between, events, task

QUESTIONS = Path(os.environ["LOAD_QUESTIONS"])
LEAST, MOST = map(float, os.environ["LOAD_WAIT"].split())
PICTURES = [
    ((QUESTIONS / name).read_bytes(), label)
    for name, label in json.loads((QUESTIONS / "labels.json").read_text(encoding="utf-8")).items()
]
answered: list[Answered] = []


class Sender(FastHttpUser):
    """Sends one picture after another, and looks whether the answer is the right one."""

    wait_time = between(LEAST, MOST)
    turn = 0

    @task
    def predict(self) -> None:
        picture, label = PICTURES[Sender.turn % len(PICTURES)]
        Sender.turn += 1
        form = {"file": ("picture.jpg", picture, "image/jpeg")}
        start = time.perf_counter()
        with self.client.post("/predict", files=form, catch_response=True) as response:
            seconds = time.perf_counter() - start
            right = response.status_code == 200 and label_of(response.content) == label
            retry = (response.headers or {}).get("retry-after", "")
            error = "" if response.status_code else "no answer"
            answered.append(Answered(start, seconds, response.status_code, right, retry, error))
            if response.status_code == 200 and not right:
                response.failure("another label than the predictor's")


@events.quitting.add_listener
def _keep(**_: Any) -> None:
    keep(answered, Path(os.environ["LOAD_OUT"]))
