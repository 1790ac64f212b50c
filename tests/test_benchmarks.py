"""Every benchmark at toy size: it runs, and its table and JSON come out whole. What it measures is nobody's promise."""

import gzip
import importlib
import io
import json
import math
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlops_cls.bundle import Bundle
from mlops_cls.data.manifest import Plan
from mlops_cls.data.partition import partition
from mlops_cls.data.sources.archive import ArchiveSource
from mlops_cls.data.sources.skin_lesion import SKIN_LESION
from mlops_cls.data.synthetic import write_synthetic

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return a function that imports a benchmark as a script would be: its own folder comes first."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


def numbers(value: Any) -> Iterator[float]:
    """Yield every number of a JSON value."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from numbers(part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def run(module: ModuleType, out: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """Run a benchmark, check what all of them promise, and return its JSON."""
    module.main([*map(str, arguments), "--out", str(out)])
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(table) >= 3 and len({line.count("|") for line in table}) == 1
    content: dict[str, Any] = json.loads(out.read_text())
    facts = {"processor", "flags", "cores", "threads", "load", "memory_gb", "gpu", "versions", "git", "date"}
    assert set(content["machine"]) == facts
    assert all(content["machine"]["versions"].values())
    return content


def assert_measured(rounds: list[dict[str, float]], sides: set[str], number: int) -> None:
    assert [set(taken) for taken in rounds] == [sides] * number
    assert all(math.isfinite(value) and value > 0 for value in numbers(rounds))


def test_sides_are_taken_in_alternation_and_compared_within_a_round(load: Load) -> None:
    pairs, taken = load("pairs"), []
    speeds = {"a": iter([2.0, 30.0, 4.0]), "b": iter([1.0, 10.0, 4.0])}

    def side(name: str) -> float:
        taken.append(name)
        return next(speeds[name])

    rounds = pairs.in_turn({name: lambda name=name: side(name) for name in speeds}, 3)
    assert "".join(taken) == "ababab"
    assert pairs.medians(rounds) == {"a": 4.0, "b": 4.0}
    assert pairs.ratios(rounds, "a") == {"b": 2.0}


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # timm leaves its files to the collector
def test_loader_benchmark_measures_all_sides(load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy = ["--pictures", 16, "--size", 40, 30, "--pixels", 16, "--batch", 4, "--seconds", 0.01, "--rounds", 2]
    content = run(load("loader"), tmp_path / "loader.json", capsys, *toy, "--workers", 0)
    assert_measured(content["rounds"]["0"], {"ours", "torchvision", "timm", "raw memmap"}, 2)
    assert content["preparing"] > 0


def test_preparing_pays_off_when_its_seconds_are_saved_and_never_where_we_are_slower(load: Load) -> None:
    break_even = load("loader").break_even
    assert break_even(10.0, 100, {"ours": 100.0, "torchvision": 20.0}) == 3  # 4 seconds are saved an epoch
    assert break_even(10.0, 100, {"ours": 20.0, "torchvision": 20.0}) == math.inf


def test_step_benchmark_measures_all_sides(load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy = ["--case", "toy", "--steps", 2, "--epochs", 2, "--rounds", 1, "--device", "cpu"]
    step = load("step")
    content = run(step, tmp_path / "step.json", capsys, *toy)
    assert_measured(content["rounds"]["toy"], set(step.SIDES), 1)


@pytest.fixture
def small_fmnist(tmp_path: Path) -> Path:
    """Return a folder with the four idx files, of 40 training and 20 held-out pictures."""
    generator = np.random.default_rng(0)
    for part, number in {"train": 40, "t10k": 20}.items():
        labels = (np.arange(number) % 10).astype(np.uint8)
        pixels = generator.integers(0, 256, (number, 28, 28), dtype=np.uint8)
        for name, values in {"images-idx3": pixels, "labels-idx1": labels}.items():
            magic = 2051 if values.ndim == 3 else 2049
            head = np.array([magic, *values.shape], ">u4").tobytes()
            (tmp_path / f"{part}-{name}-ubyte.gz").write_bytes(gzip.compress(head + values.tobytes()))
    return tmp_path


def test_time_to_accuracy_keeps_every_training_and_goes_on_where_it_was_interrupted(
    load: Load, small_fmnist: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module, out = load("time_to_accuracy"), tmp_path / "times.json"
    ours = ["experiment=quickstart", "data=fmnist", "data.check=off", "data.batch_size=8", "trainer.max_epochs=1"]
    toy = ["fmnist", "--data", small_fmnist, "--targets", 0.01, 1.01, "--epochs", 1, "--batch", 10, "--ours", *ours]
    first = run(module, out, capsys, *toy, "--seeds", 1, "--sides", "timm")
    content = run(module, out, capsys, *toy, "--seeds", 1, "--resume", out)
    assert content["records"][0] == first["records"][0]
    assert [(r["side"], r["seed"], len(r["epochs"])) for r in content["records"]] == [
        ("timm", 0, 1),
        ("ours", 0, 1),
        ("plain", 0, 1),
    ]
    assert all(record["reached"]["1.01"] is None for record in content["records"])


def test_peers_are_given_exactly_the_pictures_that_our_split_does_not_hold_out(load: Load, tmp_path: Path) -> None:
    source = ArchiveSource(SKIN_LESION, write_synthetic("skin_lesion", tmp_path / "raw.zip", per_class=6))
    plan = Plan(val_fraction=0.175, test_fraction=0.3)
    load("time_to_accuracy").unpack_folders(source, plan, tmp_path / "peers", 32)
    written = {path.stem: path.relative_to(tmp_path / "peers").parts[0] for path in (tmp_path / "peers").rglob("*.jpg")}
    samples, _ = partition(source.samples(), plan)
    assert written == {s.id: "held_out" if s.split == "test" else "training" for s in samples}


def test_a_side_that_missed_the_target_enters_the_ratio_as_a_bound(load: Load) -> None:
    def record(side: str, seed: int, seconds: float | None) -> dict[str, Any]:
        return {"side": side, "seed": seed, "reached": {"0.9": seconds}, "spent": 50.0, "epochs": [(50.0, 0.8)]}

    records = [record("ours", 0, 10.0), record("ours", 1, 20.0), record("timm", 0, 40.0), record("timm", 1, None)]
    rows = load("time_to_accuracy").summarise(records, ["ours", "timm"], 0.9)
    assert [row[2] for row in rows] == ["15 (10 to 20)", "40 (40 to 40); 1 of 2 not within 50 s"]
    assert [row[4] for row in rows] == ["1.00", "≥ 3.25"]


def test_start_benchmark_times_fresh_processes(load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    only = ["--only", "import mlops_cls", "mlops-cls --help", "--pictures", 4, "--size", 40, 30, "--rounds", 2]
    content = run(load("start"), tmp_path / "start.json", capsys, *only)
    assert_measured(content["rounds"], {"import mlops_cls", "mlops-cls --help"}, 2)


def test_memory_benchmark_reads_both_sizes(load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy = ["--pictures", 64, "--times", 2, "--pixels", 16, "--epochs", 1, "--rounds", 1, "--workers", 0]
    content = run(load("memory"), tmp_path / "memory.json", capsys, *toy)
    kinds = {f"main {what} {kind}" for what in ("peak", "steady") for kind in ("Rss", "Pss", "Anonymous")}
    for size in ("small", "large"):
        assert_measured(content["rounds"]["0"][size], kinds, 1)


def test_drift_benchmark_tells_shares_of_draws(
    load: Load, tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as archive:
        for number in range(60):
            buffer = io.BytesIO()
            Image.fromarray(np.random.default_rng(number).integers(0, 256, (20, 30), np.uint8)).save(buffer, "PNG")
            archive.writestr(f"{number}.png", buffer.getvalue())
    toy = ["--fresh", 10, "--rounds", 2, "--sizes", 60, "--looks", 5, "--services", 4, "--other", other]
    content = run(load("drift_rates"), tmp_path / "drift.json", capsys, tiny_bundle.folder, *toy)
    rates = {name: shares["60"] for name, shares in content["rates"].items()}
    assert rates.pop("as they are")[0] <= 0.2
    assert rates["darker by half"] == rates["other domain (other)"] == [1, 1]
    assert all(0 <= told <= sure <= 1 for told, sure in rates.values())
    assert content["many"]["both, as it is done"] <= content["many"]["each look's p"]


def test_coverage_benchmark_tells_shares_of_draws(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("coverage")
    monkeypatch.setattr(module, "POPULATION", 2000)
    worlds = {"single": module.World((0.5, 0.5), 40), "grouped": module.World((0.3, 0.7), 20, (1, 3), 1.0)}
    monkeypatch.setattr(module, "WORLDS", worlds)
    found = dict(module.rows(draws=4, repeats=20))
    assert found.keys() == worlds.keys()
    assert all(0 <= share <= 1 for figures in found.values() for share in figures.values())
    assert found["grouped"].keys() >= {*module.SCORES, "accuracy alarm", "log_loss held"}
