"""A finished run as a report sees it."""

import csv
import json
from functools import partial

import pytest

import mlops_cls as mc
from browser import chromium, visit  # noqa: F401 (fixtures)
from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.evidence import find_evidence
from mlops_cls.report.page import Subject
from mlops_cls.run import EVALUATION, TABLE
from mlops_cls.scoring import data_for


@pytest.fixture(scope="session")
def subject(tiny_run: mc.Run) -> Subject:
    with (tiny_run.folder / TABLE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return Subject(
        card=tiny_run.card,
        evaluation=json.loads((tiny_run.folder / EVALUATION).read_text(encoding="utf-8")),
        outputs=Outputs.load(tiny_run.outputs("test")),
        prepared=data_for(tiny_run.card, ()).prepared,
        place=str(tiny_run.folder),
        rows=rows,
        best=int(tiny_run.metrics["epoch"]),
        explain=partial(find_evidence, ImageClassifier.from_checkpoint(tiny_run.checkpoint)),
    )
