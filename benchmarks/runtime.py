"""What the probe takes for a network against the best of all settings, each tried by hand.

    python benchmarks/runtime.py [--networks resnet18 vit_tiny_patch16_224] [--pictures 16] [--no-compile]

The probe runs as it does before a long training. Then every setting (precision, memory format, compiled or not) trains
on its own copy of the network, in rounds, in a plain loop that shares nothing with the probe; the share of the best is
the median over the rounds of the best setting's time divided by that of the setting that the probe took.
"""

import argparse
import time
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from itertools import product

import pairs
import torch
from torch.nn import functional as F

from mlops_cls.card import Architecture, ModelCard, Preprocess
from mlops_cls.choices import Device, Precision
from mlops_cls.config import OptimConfig, RuntimeConfig
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.networks import fit_to_size
from mlops_cls.models.optim import make_optimizer
from mlops_cls.runtime import Runtime
from mlops_cls.tuning.probe import probe
from mlops_cls.tuning.workload import Workload

NETWORKS = ("resnet18", "efficientnet_b0", "mobilenetv3_small_100", "vit_tiny_patch16_224")
CLASSES, STEPS, TARGET = 10, 3, 0.95


def make_classifier(name: str, size: int) -> ImageClassifier:
    """Return an untrained classifier of RGB pictures."""
    torch.manual_seed(0)
    preprocess = Preprocess(size=size, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    architecture = fit_to_size(Architecture(name=name), size)
    classes = tuple(f"class {number}" for number in range(CLASSES))
    return ImageClassifier(ModelCard(classes=classes, preprocess=preprocess, architecture=architecture))


def probed(name: str, options: Namespace) -> tuple[Runtime, float]:
    """Return what the probe takes before a run of hours, and the seconds that it took to find out."""
    classifier = make_classifier(name, options.size)
    config = RuntimeConfig(device=Device(options.device), compile=None if options.compile else False)
    workload = Workload(classifier, batch_of(options))
    start = time.perf_counter()
    taken, _ = probe(workload, Runtime.resolve(config, classifier.network), config, expected=lambda each: 1e5)
    return taken, time.perf_counter() - start


def batch_of(options: Namespace) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pictures of noise and labels."""
    images = torch.randint(0, 256, (options.pictures, 3, options.size, options.size), dtype=torch.uint8)
    return images, torch.arange(options.pictures) % CLASSES


def by_hand(runtime: Runtime, name: str, options: Namespace) -> Callable[[], float]:
    """Return a function that takes training steps as one would write them, and returns the pictures per second."""
    network = make_classifier(name, options.size).network.train()
    network.to(runtime.torch_device, memory_format=runtime.memory_format)
    forward = torch.compile(network) if runtime.compile else network
    optimizer = make_optimizer(network, OptimConfig())
    images, labels = (part.to(runtime.torch_device) for part in batch_of(options))

    def step() -> None:
        with runtime.autocast():
            floats = (images.float() / 255).contiguous(memory_format=runtime.memory_format)
            loss = F.cross_entropy(forward(floats), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def rate() -> float:
        step()
        runtime.synchronise()
        start = time.perf_counter()
        for _ in range(STEPS):
            step()
        runtime.synchronise()
        return STEPS * options.pictures / (time.perf_counter() - start)

    rate()  # Compiles, where it does.
    return rate


def settings(options: Namespace) -> list[Runtime]:
    """Return all settings that could be given on this device."""
    device = Runtime.resolve(RuntimeConfig(device=Device(options.device))).device
    compiled = (False, True) if options.compile else (False,)
    return [
        Runtime(device, precision, last, compile)
        for compile, precision, last in product(compiled, (Precision.fp32, Precision.bf16), (True, False))
    ]


def compare(name: str, options: Namespace) -> tuple[list[object], dict[str, object]]:
    """Return the table's line of a network, and all that was measured of it."""
    taken, seconds = probed(name, options)
    pairs.say(f"{name}: the probe took {taken} after {seconds:.1f} s")
    sides = {str(runtime): partial(by_hand, runtime, name, options)() for runtime in settings(options)}
    rounds = pairs.in_turn(sides, options.rounds)
    rates = pairs.medians(rounds)
    best = max(rates, key=lambda side: rates[side])
    share = 1.0 if best == str(taken) else pairs.ratios(rounds, str(taken))[best]
    line = [name, str(taken), rates[str(taken)], best, rates[best], share, TARGET, seconds]
    return line, {"taken": str(taken), "probe_seconds": seconds, "share_of_best": share, "rounds": rounds}


def main(arguments: list[str] | None = None) -> None:
    """Compare network after network, report."""
    parser = pairs.parser_of(__file__, __doc__, rounds=5)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--pictures", type=int, default=16, help="of a batch (16)")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--device", choices=list(Device), default="auto")
    options = parser.parse_args(arguments)
    found = {name: compare(name, options) for name in options.networks}
    heads = ["network", "taken by the probe", "pictures/s", "best by hand", "pictures/s", "share", "target", "probe, s"]
    table = pairs.markdown(heads, [line for line, _ in found.values()])
    pairs.report(options, table, networks={name: measured for name, (_, measured) in found.items()})


if __name__ == "__main__":
    main()
