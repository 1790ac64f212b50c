"""What the images are made of: pinned, of the project's own resolution, without a secret, and nothing beside it."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from replay import Context, read

CHECKOUT = Path(__file__).parents[2]
DOCKERFILES = sorted((CHECKOUT / "dockerfiles").glob("*.dockerfile"))
PINNED = {
    path.stem.removeprefix("requirements-"): path for path in (CHECKOUT / "dockerfiles").glob("requirements-*.txt")
}
HERE = {"python_version": "3.13", "python_full_version": "3.13.5", "sys_platform": "linux", "extra": ""}
PROJECT: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
RANGES = [Requirement(text) for text in PROJECT["project"]["dependencies"]]


def pins(*names: str) -> Iterator[tuple[Requirement, list[str]]]:
    """Yield what is pinned, and its hashes."""
    for name in names:
        for block in re.split(r"\n(?=[a-z])", PINNED[name].read_text())[1:]:
            first, *hashes = block.replace("\\\n", "\n").splitlines()
            yield Requirement(first), hashes


def versions(*names: str) -> dict[str, str]:
    found = (pin for pin, _ in pins(*names) if pin.marker is None or pin.marker.evaluate(HERE))
    return {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in found}


def asked_for() -> Iterator[tuple[Requirement, tuple[str, ...]]]:
    """Yield each range that the project names, and the files that must hold it."""
    extras, groups = PROJECT["project"]["optional-dependencies"], PROJECT["dependency-groups"]
    for requirement in [*RANGES, *(Requirement(text) for extra in ("dvc", "gs", "secrets") for text in extras[extra])]:
        yield requirement, ("train", "torch-cuda")
    for requirement in map(Requirement, groups["api"]):
        yield requirement, ("api",)
        yield from ((same, ("api",)) for same in RANGES if same.name == requirement.name)
    for requirement in map(Requirement, groups["build"]):
        yield requirement, ("build",)


def test_pyproject_was_changed_without_make_lock() -> None:
    for requirement, names in asked_for():
        version = versions(*names).get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is in none of {names}: make lock"
        assert requirement.specifier.contains(version), f"{requirement}, and {version} is pinned in {names}: make lock"


def test_the_images_hold_other_versions_than_were_tested() -> None:
    path = CHECKOUT / "uv.lock"
    lock = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"options": {}}
    if lock.get("options") != {"exclude-newer": PROJECT["tool"]["uv"]["exclude-newer"]}:
        pytest.skip("this checkout is not installed by uv sync, or with other options")
    tested = {(package["name"], package.get("version")) for package in lock["package"]}
    for name in ("train", "torch-cuda", "api", "build"):
        found = {(canonicalize_name(pin.name), next(iter(pin.specifier)).version) for pin, _ in pins(name)}
        assert found <= tested, f"requirements-{name}.txt is older than uv.lock: make lock"


def test_torch_without_cuda_is_another_torch() -> None:
    plain = {name: version.removesuffix("+cpu") for name, version in versions("torch-cpu").items()}
    assert plain == {name: versions("torch-cuda")[name] for name in ("torch", "torchvision")}, "make lock"


@pytest.mark.parametrize("name", PINNED)
def test_a_package_could_be_another_than_the_one_meant(name: str) -> None:
    text = PINNED[name].read_text()
    assert "://" not in text
    assert "index" not in re.sub(r"^[a-z][^ ]*", "", text, flags=re.MULTILINE)
    for pin, hashes in pins(name):
        assert re.fullmatch(r"==[^*]+", str(pin.specifier)), pin
        assert hashes, pin
        assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64} ?", line) for line in hashes), pin


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_runs_as_root_or_keeps_a_secret(dockerfile: Path) -> None:
    steps = list(read(dockerfile.read_text()))
    assert [step.rest for step in steps if step.name == "USER"] == ["1000:1000"]
    given = [step.rest.partition("=")[0] for step in steps if step.name == "ARG"]
    assert set(given) <= {"BASE", "ACCELERATOR", "COMMIT"}
    named = " ".join(step.rest for step in steps if step.name in ("ENV", "LABEL"))
    assert not re.search(r"key|token|secret|password", named, re.IGNORECASE)


@pytest.mark.parametrize(
    "name", ["data/skin.zip", "runs/latest/card.json", ".env", ".git/config", "src/a/__pycache__/b.pyc"]
)
def test_data_runs_or_keys_are_sent_to_the_engine(name: str) -> None:
    assert not Context(CHECKOUT).holds(CHECKOUT / name)


def test_code_is_not_sent_to_the_engine() -> None:
    for name in ("src/mlops_cls/train.py", "configs/train.yaml", "pyproject.toml", "dockerfiles/requirements-api.txt"):
        assert Context(CHECKOUT).holds(CHECKOUT / name)
