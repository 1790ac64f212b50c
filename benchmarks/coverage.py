"""How often intervals hold the truth, and how often equal classifiers are called different, in simulated test sets.

``python benchmarks/coverage.py`` takes some minutes; `docs/evaluation.md` has its figures. The truth is that
of half a million pictures drawn in the same way.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.special import log_softmax

from mlops_cls.evaluation.answers import Answers
from mlops_cls.evaluation.intervals import Estimate
from mlops_cls.evaluation.measures import Measures, losses, ranking
from mlops_cls.evaluation.paired import differences
from mlops_cls.evaluation.resampling import Resampling

POPULATION = 500_000
SCORES = ("accuracy", "balanced_accuracy", "macro_f1", "auroc", "log_loss", "brier", "ece", "recall")
SKIN = (0.67, 0.11, 0.11, 0.05, 0.033, 0.014, 0.013)


@dataclass(frozen=True)
class World:
    """Where test sets come from: classes with their shares, groups of pictures that are alike, and how hard it is."""

    classes: tuple[float, ...]
    groups: int
    sizes: tuple[int, int] = (1, 1)
    alike: float = 0.0
    strength: float = 3.0

    def draw(
        self, generator: Generator, groups: int, edge: tuple[float, ...] = (0.0,)
    ) -> tuple[list[Answers], np.ndarray]:
        """Return the answers of a classifier per `edge` that it has over the others, and the pictures' groups."""
        owners = np.repeat(np.arange(groups), generator.integers(self.sizes[0], self.sizes[1] + 1, groups))
        labels = generator.choice(len(self.classes), groups, p=self.classes)[owners]
        shape = len(labels), len(self.classes)
        common = generator.normal(0, self.alike, (groups, shape[1]))[owners] + generator.normal(size=shape)
        classifiers = []
        for more in edge:
            logits = 1.3 * (common + 0.5 * generator.normal(size=shape))
            logits[np.arange(shape[0]), labels] += 1.3 * (self.strength + more)
            classifiers.append(Answers(labels, log_softmax(logits, axis=1)))
        return classifiers, owners

    def resampling(self, owners: np.ndarray, repeats: int) -> Resampling:
        groups = None if self.sizes == (1, 1) else owners.astype(str).tolist()
        return Resampling.draw(len(owners), groups, repeats=repeats)

    def population(self, generator: Generator, edge: tuple[float, ...] = (0.0,)) -> tuple[list[Answers], np.ndarray]:
        return self.draw(generator, round(2 * POPULATION / sum(self.sizes)), edge)


WORLDS = {
    "100 pictures, 3 classes": World((1 / 3,) * 3, 100, strength=2.5),
    "500 pictures, 10 classes": World((0.1,) * 10, 500, strength=3.0),
    "500 pictures, 7 rare and frequent": World(SKIN, 500, strength=2.5),
    "2000 pictures, 7 rare and frequent": World(SKIN, 2000, strength=2.5),
    "1500 pictures, 60 classes": World((1 / 60,) * 60, 1500, strength=4.0),
    "600 lesions of 1 to 4, 7 classes": World(SKIN, 600, (1, 4), 1.0),
    "40 strips of 20 to 80, 3 classes": World((1 / 3,) * 3, 40, (20, 80), 0.8),
    "15 strips of 20 to 80, 3 classes": World((1 / 3,) * 3, 15, (20, 80), 0.8),
}


def estimates(answers: Answers, resampling: Resampling) -> dict[str, Estimate]:
    """Return the scores that are looked at; `recall` is that of the last class."""
    measures = Measures(answers, resampling)
    found = {**measures.overall(), **losses(answers, answers, resampling), "auroc": ranking(answers, resampling)[0]}
    return {name: found[name] for name in SCORES if name in found} | {"recall": measures.per_class()["recall"][-1]}


def coverage(world: World, draws: int, repeats: int) -> dict[str, float]:
    """Return the share of draws whose interval holds the truth, per score."""
    generator = np.random.default_rng(0)
    (everyone,), owners = world.population(generator)
    truth = estimates(everyone, world.resampling(owners, 2))
    held = defaultdict(list)
    for _ in range(draws):
        (answers,), owners = world.draw(generator, world.groups)
        for name, estimate in estimates(answers, world.resampling(owners, repeats)).items():
            if np.isfinite(estimate.low):
                held[name].append(estimate.low <= truth[name].value <= estimate.high)
    return {name: float(np.mean(values)) for name, values in held.items()}


def comparisons(world: World, draws: int) -> dict[str, float]:
    """Return the share of false alarms at 5 % between equal classifiers, and that of intervals that hold 0 then."""
    generator = np.random.default_rng(1)
    alarms, held = defaultdict(list), defaultdict(list)
    for _ in range(draws):
        (here, there), owners = world.draw(generator, world.groups, (0.0, 0.0))
        for difference in differences(here, there, world.resampling(owners, 1), flips=999):
            alarms[difference.score].append(difference.p <= 0.05)
            held[difference.score].append(difference.low <= 0 <= difference.high)
    return {f"{name} alarm": float(np.mean(values)) for name, values in alarms.items()} | {
        f"{name} held": float(np.mean(values)) for name, values in held.items()
    }


def rows(draws: int, repeats: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield a world's name with its figures."""
    for name, world in WORLDS.items():
        yield name, coverage(world, draws, repeats) | comparisons(world, draws)


def main() -> None:
    """Print a table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000, help="test sets per row (default 1000)")
    parser.add_argument("--repeats", type=int, default=400, help="resamples of each (default 400)")
    options = parser.parse_args()
    for number, (name, figures) in enumerate(rows(options.draws, options.repeats)):
        if not number:
            print("| " + " | ".join(["drawn", *figures]) + " |")
        print("| " + " | ".join([name, *(f"{value:.3f}" for value in figures.values())]) + " |", flush=True)


if __name__ == "__main__":
    main()
