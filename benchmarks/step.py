"""Training steps per second: `mc.fit`, a bare PyTorch loop of the same settings, and plain Lightning with torchvision.

    python benchmarks/step.py [--case 224 28] [--device auto]

All train timm's resnet18, and crop and mirror alike. The bare loop is what `fit` could be without any framework: same
network, optimiser, schedule, precision and memory format, same prepared pictures, loss and train accuracy; once with
the optimiser as we make it, and once with torch's fused AdamW, as one would tune it by hand. Plain Lightning reads an
ImageFolder, in float32 and channels first, with Adam. Every side trains anew in each round, and its first epoch is
left out.
"""

import sys
import tempfile
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pairs
import peers
import pytorch_lightning as pl
import timm
import torch
from check_speed import write_pictures
from clocks import StepRate, now
from PIL import Image
from torch import Tensor, nn

import mlops_cls as mc
from mlops_cls.build import make_datamodule
from mlops_cls.card import Preprocess
from mlops_cls.choices import Channels, CheckPolicy, Device
from mlops_cls.console import quiet_lightning
from mlops_cls.data.datamodules import ImageDataModule
from mlops_cls.models.classifier import Normalise
from mlops_cls.models.optim import Pace, make_optimizer, make_schedule
from mlops_cls.runtime import Runtime

CLASSES = 2
TARGETS = {("bare loop", 224): 0.95, ("bare loop", 28): 0.90}


@dataclass(frozen=True, slots=True)
class Case:
    """A network's input: side in pixels, pictures per batch, channels, and the size of the files it is read from."""

    pixels: int
    batch: int
    channels: int
    file: tuple[int, int]


CASES = {"224": Case(224, 32, 3, (600, 450)), "28": Case(28, 128, 1, (28, 28)), "toy": Case(32, 4, 3, (48, 36))}


def write_case(root: Path, case: Case, steps: int) -> Path:
    """Write pictures for `steps` batches an epoch, as ``split/class/picture``, in grey where the case is grey."""
    for split, number in {"train": steps * case.batch, "val": 8, "test": 8}.items():
        write_pictures(root / split, number, case.file)
    for file in root.rglob("*.jpg") if case.channels == 1 else ():
        Image.open(file).convert("L").save(file, quality=90)
    return root


def config_of(case: Case, root: Path, home: Path, options: Namespace) -> mc.Config:
    """Return the config of our run; the bare loop takes its settings from it too."""
    config = mc.load_config("data=folder", f"data.root={root}", "model=resnet18", "optim=onecycle", "logger=none")
    config.data.store, config.run.folder = str(home / "store"), str(home / "runs")
    config.data.size, config.data.batch_size, config.data.workers = case.pixels, case.batch, options.workers
    config.data.channels = Channels.grey if case.channels == 1 else Channels.rgb
    # The written pictures resemble one another, which would be a leak.
    config.data.check = CheckPolicy.off
    config.augment.transforms = peers.crop_and_flip(case.pixels)
    config.trainer.max_epochs, config.runtime.device = options.epochs, Device(options.device)
    config.trainer.callbacks = [{"_target_": "clocks.StepRate"}]
    return config


def steady(rates: list[float]) -> float:
    """Return the mean rate over all epochs but the first, each epoch having as many steps."""
    return float(len(rates[1:]) / np.sum(1 / np.array(rates[1:])))


def fit(config: mc.Config) -> float:
    """Return the steps per second of `mc.fit`."""
    with redirect_stdout(sys.stderr):
        mc.fit(config)
    return steady(StepRate.latest.rates)


class Bare:
    """The loop one would write by hand, with the settings of a config."""

    def __init__(self, config: mc.Config, data: ImageDataModule, *, fused: bool) -> None:
        manifest, prepared = data.manifest, data.prepared
        channels = manifest.geometry.channels
        network = timm.create_model("resnet18", num_classes=len(manifest.classes), in_chans=channels)
        self.runtime = Runtime.resolve(config.runtime, network)
        self.device, self.epochs = self.runtime.torch_device, config.trainer.max_epochs
        self.network = network.to(self.device, memory_format=self.runtime.memory_format).train()
        preprocess = Preprocess(size=config.data.size or 0, mean=manifest.mean, std=manifest.std)
        self.normalise = Normalise(preprocess).to(self.device)
        raw = peers.RawPictures(prepared.folder / "train.npy", prepared.labels("train"), size=manifest.geometry.size)
        self.batches = peers.BareLoop(raw, batch=config.data.batch_size, workers=config.data.workers or 0)
        self.optimizer = make_optimizer(self.network, config.optim)
        if fused:
            self.optimizer = torch.optim.AdamW(self.optimizer.param_groups, fused=True)
        steps = len(self.batches) * self.epochs
        self.schedule = make_schedule(self.optimizer, config.optim, pace=Pace(steps), epochs=self.epochs)

    def rate(self) -> float:
        """Return the steps per second."""
        rates = []
        for _ in range(self.epochs):
            start = now()
            hits, losses = self._epoch()
            rates.append(len(self.batches) / (now() - start))
            assert float(hits) >= 0 and np.isfinite(float(losses))
        return steady(rates)

    def _epoch(self) -> tuple[Tensor, Tensor]:
        hits, losses = torch.zeros((), device=self.device), torch.zeros((), device=self.device)
        for batch in self.batches:
            images, labels = (part.to(self.device, non_blocking=True) for part in batch)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.runtime.precision == "bf16"):
                logits = self.network(self.normalise(images).contiguous(memory_format=self.runtime.memory_format))
                loss = nn.functional.cross_entropy(logits, labels)
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            self.optimizer.zero_grad(set_to_none=True)
            losses += loss.detach() * len(labels)
            hits += (logits.detach().argmax(1) == labels).sum()
        return hits, losses


def plain(case: Case, root: Path, home: Path, options: Namespace) -> float:
    """Return the steps per second of plain Lightning."""
    loader = peers.torchvision_loader(
        root / "train", size=case.pixels, batch=case.batch, workers=options.workers, channels=case.channels
    )
    network = timm.create_model("resnet18", num_classes=CLASSES, in_chans=case.channels)
    clock = StepRate()
    accelerator = "auto" if options.device == "auto" else options.device
    with quiet_lightning(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            max_epochs=options.epochs,
            accelerator=accelerator,
            devices=1,
            callbacks=[clock],
            default_root_dir=home / "plain",
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(peers.PlainModule(network), loader)
    return steady(clock.rates)


def compare(case: Case, home: Path, options: Namespace) -> list[pairs.Round]:
    """Return the steps per second of the chosen sides, round by round."""
    root = write_case(home / "raw", case, options.steps)
    config = config_of(case, root, home, options)
    data = make_datamodule(config)
    data.prepare_data()
    sides: dict[str, Callable[[], float]] = {
        "mc.fit": partial(fit, config),
        "bare loop": lambda: Bare(config, data, fused=False).rate(),
        "bare loop, fused AdamW": lambda: Bare(config, data, fused=True).rate(),
        "plain Lightning": partial(plain, case, root, home, options),
    }
    return pairs.in_turn({name: side for name, side in sides.items() if name in options.sides}, options.rounds)


def rows_of(name: str, rounds: Iterable[pairs.Round]) -> list[list[object]]:
    """Return the table's lines of one case."""
    taken = list(rounds)
    ours, case = pairs.ratios(taken, "mc.fit"), CASES[name]
    return [
        [f"{case.pixels} px", side, rate, rate * case.batch, ours.get(side, 1.0), target(side, case)]
        for side, rate in pairs.medians(taken).items()
    ]


def target(side: str, case: Case) -> object:
    """Return what `mc.fit` is to reach as a multiple of a side."""
    if side == "plain Lightning":
        return 3 if "amx_bf16" in pairs.fingerprint()["flags"] else 1.3
    return TARGETS.get((side, case.pixels), "")


SIDES = ("mc.fit", "bare loop", "bare loop, fused AdamW", "plain Lightning")


def main(arguments: list[str] | None = None) -> None:
    """Compare case after case, report."""
    parser = pairs.parser_of(__file__, __doc__, rounds=3)
    parser.add_argument("--case", nargs="+", choices=CASES, default=["224", "28"])
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--steps", type=int, default=10, help="steps per epoch (10)")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of a training; the first is left out (3)")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--device", choices=list(Device), default="auto")
    options = parser.parse_args(arguments)
    rounds = {}
    for name in options.case:
        with tempfile.TemporaryDirectory() as folder:
            rounds[name] = compare(CASES[name], Path(folder), options)
        pairs.keep(options, rounds=rounds)
    heads = ["case", "side", "steps/s", "pictures/s", "mc.fit is times as fast", "target"]
    table = pairs.markdown(heads, [row for name, taken in rounds.items() for row in rows_of(name, taken)])
    pairs.report(options, table, rounds=rounds)


if __name__ == "__main__":
    main()
