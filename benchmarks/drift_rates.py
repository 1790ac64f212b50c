"""How often does drift alarm, where it should not and where it should? ``python benchmarks/drift_rates.py BUNDLE``.

Test pictures that neither training nor the reference has seen are drawn again and again, as they are and changed, and
looked at as `python -m mlops_cls.drift` looks at them. Then services are played that are looked at many times in a row,
and the same looks are judged by each single look's p values too, as one would without allowing for their number.
"""

import argparse
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pairs import markdown, parser_of, report, say
from PIL import Image, ImageFilter

from mlops_cls.bundle import FOLDER, Bundle
from mlops_cls.data.facts import sizes_of
from mlops_cls.drifting.reading import open_bundle, open_reference
from mlops_cls.exporting.pictures import open_data
from mlops_cls.monitoring.drift import ALPHA, LEAST, Change, Sample, find_changes
from mlops_cls.monitoring.reference import Reference
from mlops_cls.monitoring.statistics import measure
from mlops_cls.monitoring.windows import spent
from mlops_cls.pictures import SUFFIXES, Pixels, load_picture
from mlops_cls.predictor import Predictor

SIZES = (100, 300, 1000)
AS_THEY_ARE = "as they are"
Alter = Callable[[Pixels, np.random.Generator], Pixels]


def _blurred(picture: Pixels, _: np.random.Generator) -> Pixels:
    image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
    radius = 1 / 28 * picture.shape[0]
    blurred: Pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(radius))).reshape(picture.shape)
    return blurred


def _noisy(picture: Pixels, generator: np.random.Generator) -> Pixels:
    return np.clip(picture + generator.normal(0, 10, picture.shape), 0, 255).astype(np.uint8)


KINDS: dict[str, Alter] = {
    AS_THEY_ARE: lambda picture, _: picture,
    "3 % darker": lambda picture, _: (0.97 * picture).astype(np.uint8),
    "a tenth darker": lambda picture, _: (0.9 * picture).astype(np.uint8),
    "darker by half": lambda picture, _: picture // 2,
    "blurred, 1/28 of the side": _blurred,
    "one in ten blurred so": lambda picture, draw: _blurred(picture, draw) if draw.random() < 0.1 else picture,
    "noisy, 10 of 255": _noisy,
    "mirrored": lambda picture, _: picture[:, ::-1],
}


@dataclass(frozen=True)
class Home:
    """A bundle, and what is asked of it."""

    predictor: Predictor
    reference: Reference

    def sample(self, pictures: Sequence[Pixels], sides: NDArray[np.int64]) -> Sample:
        """Return pictures as the service would measure them, with sides of the originals int64[N,2]."""
        answers = self.predictor.answer(list(pictures))
        assert answers.embeddings is not None
        return Sample(
            statistics=measure(np.stack(pictures), sides),
            predicted=answers.probabilities.argmax(1).astype(np.int64),
            confidence=answers.probabilities.max(1),
            projected=self.reference.projection(answers.embeddings),
        )


def alarms(home: Home, pool: Sample, size: int, draws: int) -> tuple[float, float]:
    """Return in what share of draws something was told, and in what share chance alone was ruled out."""
    told = sure = 0
    for seed in range(draws):
        rows = np.random.default_rng(seed).permutation(len(pool))[:size]
        changes = find_changes(home.reference, pool[rows], seed=seed)
        told += any(change.drift for change in changes)
        sure += any(change.p_adjusted <= ALPHA for change in changes)
    return told / draws, sure / draws


def looked_at(home: Home, pool: Sample, *, looks: int, size: int, services: int) -> dict[str, float]:
    """Return the share of services that alarm at least once, by what a look is judged by."""
    once = dict.fromkeys(("each look's p", "each look's p and effect", "p over all looks", "both, as it is done"), 0)
    for seed in range(services):
        generator = np.random.default_rng(seed)
        seen = [find_changes(home.reference, pool[_draw(generator, pool, size)], seed=look) for look in range(looks)]
        for name, judged in zip(once, _judged(seen), strict=True):
            once[name] += judged
    return {name: number / services for name, number in once.items()}


def _draw(generator: np.random.Generator, pool: Sample, size: int) -> NDArray[np.int64]:
    rows: NDArray[np.int64] = generator.integers(0, len(pool), size)
    return rows


def _judged(seen: Sequence[Sequence[Change]]) -> tuple[bool, ...]:
    every = [(look, change) for look, changes in enumerate(seen, 1) for change in changes]
    alone = [(look, change) for look, change in every if change.p_adjusted <= ALPHA]
    shared = [(look, change) for look, change in alone if change.p_adjusted / spent(look) <= ALPHA]
    large = (any(change.effect >= LEAST[change.test] for _, change in some) for some in (alone, shared))
    return bool(alone), next(large), bool(shared), next(large)


def other_domain(home: Home, archive: Path) -> list[Pixels]:
    """Return all pictures of a zip, as the network would see them."""
    geometry = home.predictor.card.preprocess.geometry
    with zipfile.ZipFile(archive) as opened:
        files = [name for name in opened.namelist() if Path(name).suffix.lower() in SUFFIXES]
        return [load_picture(io.BytesIO(opened.read(name)), **geometry).pixels for name in files]


def _pools(home: Home, options: argparse.Namespace, pictures: Pixels, sides: NDArray[np.int64]) -> dict[str, Sample]:
    generator = np.random.default_rng(0)
    pools = {}
    for name, alter in KINDS.items():
        pools[name] = home.sample([alter(picture, generator) for picture in pictures], sides)
    if options.other:
        others = other_domain(home, options.other)
        # As if the originals had the usual sides, which would give them away at once.
        pools[f"other domain ({options.other.stem})"] = home.sample(others, sides[np.arange(len(others)) % len(sides)])
    return pools


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, look, report."""
    parser = parser_of(__file__, __doc__, rounds=20)
    parser.add_argument("bundle", help="a bundle or its run folder; its data must be where they were")
    parser.add_argument("overrides", nargs="*", help="where the data are now: data.root=… data.store=…")
    parser.add_argument("--fresh", type=int, default=200, help="draws of unchanged pictures (200); changed: --rounds")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="pictures of a draw (100 300 1000)")
    parser.add_argument("--looks", type=int, default=200, help="at each service (200)")
    parser.add_argument("--services", type=int, default=20, help="that are played (20)")
    parser.add_argument("--other", type=Path, help="zip of pictures of something else")
    options = parser.parse_intermixed_args(arguments)
    home, pictures, sides = _open(options)
    pools, rows, rates = _pools(home, options, pictures, sides), [], dict[str, dict[int, tuple[float, float]]]()
    for name, pool in pools.items():
        draws = options.fresh if name == AS_THEY_ARE else options.rounds
        rates[name] = {size: alarms(home, pool, size, draws) for size in options.sizes if size <= len(pool)}
        cells = (f"{told:.3f} ({sure:.3f})" for told, sure in rates[name].values())
        rows.append([name, str(draws), *cells, *[""] * (len(options.sizes) - len(rates[name]))])
        say(" ".join(rows[-1]))
    many = looked_at(home, pools[AS_THEY_ARE], looks=options.looks, size=min(options.sizes), services=options.services)
    header = ["pictures", "draws", *(f"alarms at {size}" for size in options.sizes)]
    say(
        markdown(
            ["judged by", f"of {options.services} services, alarm within {options.looks} looks"], list(many.items())
        )
    )
    report(options, markdown(header, rows), rates=rates, many=many, model=home.predictor.card.digest)


def _open(options: argparse.Namespace) -> tuple[Home, Pixels, NDArray[np.int64]]:
    bundle: Bundle = open_bundle(options.bundle)
    home = Home(Predictor.load(bundle.folder), open_reference(bundle))
    prepared = open_data(bundle.card, options.overrides, otherwise=f"another {FOLDER}").prepared
    return home, np.asarray(prepared.images("test")), sizes_of(prepared, "test")


if __name__ == "__main__":
    main()
