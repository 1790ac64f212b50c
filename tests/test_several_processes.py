"""Two real processes: Lightning's DDP over gloo on the CPU, in a plain Trainer as a notebook would make it."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import mlops_cls as mc
from mlops_cls.data.sampling import EpochSampler
from mlops_cls.evaluation.collect import collect, training_scores

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the two processes are forked")
BATCH, EPOCHS, SEED = 15, 2, 3
PLAN = mc.Plan(size=8, subsample=0.123, val_fraction=0.152)
PROGRAM = f"""
import json, os, sys
from collections import defaultdict
from pathlib import Path

import pytorch_lightning as pl
import torch

import mlops_cls as mc

home = Path(sys.argv[1])


class Seen(pl.Callback):
    '''Notes which rows of the store each epoch's pictures are.'''

    def __init__(self, data):
        self.data = data
        self.rows = defaultdict(lambda: [[] for _ in range({EPOCHS})])

    def note(self, split, epoch, batch):
        rows = {{picture.tobytes(): row for row, picture in enumerate(self.data.prepared.images(split))}}
        pictures = batch[0].permute(0, 2, 3, 1).contiguous().numpy()
        self.rows[split][epoch] += [rows[picture.tobytes()] for picture in pictures]

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        self.note("train", trainer.current_epoch, batch)

    def on_validation_batch_end(self, trainer, module, outputs, batch, index):
        self.note("val", trainer.current_epoch, batch)


def fit(sampler):
    # Which must not matter for what is trained and scored.
    place = "device" if sampler == "balanced" else "disk"
    data = mc.DigitsDataModule(
        plan=mc.{PLAN}, store=home / "store", sampler=sampler, batch_size={BATCH}, workers=0, seed={SEED}, home=place
    )
    seen = Seen(data)
    trainer = pl.Trainer(
        strategy="ddp", devices=2, accelerator="cpu", max_epochs={EPOCHS}, callbacks=[seen], num_sanity_val_steps=0,
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )
    trainer.fit(mc.ImageClassifier(mc.make_card(data.manifest, "baseline_cnn")), data)
    trainer.save_checkpoint(home / f"{{sampler}}.ckpt")
    scores = {{name: float(value) for name, value in trainer.callback_metrics.items()}}
    found = {{"rows": seen.rows, "scores": scores, "world": trainer.world_size}}
    (home / f"{{sampler}}{{trainer.global_rank}}.json").write_text(json.dumps(found))


def process(rank):
    os.environ |= {{"LOCAL_RANK": str(rank), "NODE_RANK": "0"}}
    torch.set_num_threads(1)
    pl.seed_everything(0)
    fit("shuffle")
    fit("balanced")


torch.multiprocessing.start_processes(process, nprocs=2, start_method="fork")
"""


@dataclass(frozen=True)
class Fit:
    """What each of the two processes saw and scored, and where they left checkpoint and store."""

    home: Path
    sampler: str

    @property
    def processes(self) -> list[dict]:
        return [json.loads((self.home / f"{self.sampler}{rank}.json").read_text()) for rank in (0, 1)]

    @property
    def data(self) -> mc.DigitsDataModule:
        return mc.DigitsDataModule(plan=PLAN, store=self.home / "store", sampler=self.sampler, batch_size=BATCH)


@pytest.fixture(scope="module")
def home(python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which two processes have fitted with either sampler."""
    home = tmp_path_factory.mktemp("ddp")
    (home / "program.py").write_text(PROGRAM)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if sys.platform == "linux":
        environment["GLOO_SOCKET_IFNAME"] = "lo"
    line = [python, str(home / "program.py"), str(home)]
    done = subprocess.run(line, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture(params=["shuffle", "balanced"])
def fit(request: pytest.FixtureRequest, home: Path) -> Fit:
    return Fit(home, request.param)


def test_two_processes_train_on_the_same_pictures_or_on_others_than_one_would(fit: Fit) -> None:
    labels = fit.data.prepared.labels("train")
    alone = EpochSampler(len(labels), shuffle=True, seed=SEED, balanced=labels if fit.sampler == "balanced" else None)
    each = len(labels) // 2 // BATCH * BATCH
    for epoch in range(EPOCHS):
        alone.set_epoch(epoch)
        whole = alone.draws().rows.tolist()
        first, second = (process["rows"]["train"][epoch] for process in fit.processes)
        assert len(first) == len(second) == each
        assert [row for pair in zip(first, second, strict=True) for row in pair] == whole[: 2 * each]


def test_two_processes_score_a_picture_twice_or_never_or_wait_for_ever(fit: Fit) -> None:
    number = fit.data.manifest.size_of("val")
    # One process needs two batches for its 16 pictures, the other one.
    assert number == 2 * BATCH + 1
    for epoch in range(EPOCHS):
        parts = [process["rows"]["val"][epoch] for process in fit.processes]
        assert sorted(row for part in parts for row in part) == list(range(number))
        assert [len(part) for part in parts] == [BATCH + 1, BATCH]


def test_two_processes_report_other_scores_than_one_finds_in_their_checkpoint(fit: Fit) -> None:
    classifier = mc.ImageClassifier.from_checkpoint(fit.home / f"{fit.sampler}.ckpt")
    outputs = collect(classifier, fit.data.dataset("val"), classifier.device)
    for process in fit.processes:
        assert process["world"] == 2
        reported = {name: process["scores"][f"val/{name}"] for name in training_scores(outputs)}
        assert reported == pytest.approx(training_scores(outputs), rel=1e-5)
