"""The lines of the Makefile, as make would run them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="needs make")


def make(*words: str) -> str:
    line = ["make", "--no-print-directory", "--dry-run", *words]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_a_target_is_missing_in_help() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (targets,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    told = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^make (\w+)", told, re.MULTILINE) == targets.split()


def test_make_test_is_other_than_the_readmes_command() -> None:
    assert make("test").strip() in README
    assert make("train").strip() in README
    assert make("train", "ARGS=experiment=resnet18 optim.lr=1").strip().endswith("train experiment=resnet18 optim.lr=1")
    assert make("serve").strip() == "uv run python -m mlops_cls.serve runs/latest/bundle"


def test_an_image_lacks_its_commit_or_one_of_its_tags() -> None:
    train, api = make("docker", "ENGINE=podman", "REPOSITORY=r", f"COMMIT={40 * 'a'}").replace("\\\n", "").splitlines()
    assert "podman build --format docker --file dockerfiles/train.dockerfile" in train
    assert "docker build --file" in " ".join(make("docker", "ENGINE=docker").split())
    assert f"--build-arg COMMIT={40 * 'a'} " in api
    assert "--tag r/api:latest --tag r/api:$(printf %.12s " in " ".join(api.split())
    assert {path.stem for path in (ROOT / "dockerfiles").glob("*.dockerfile")} == {"train", "api"}


def test_a_shell_script_goes_unread() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    scripts = {name for name in tracked.splitlines() if is_shell(ROOT / name)}
    (line,) = [line for line in make("lint").splitlines() if "shellcheck" in line]
    read = {str(path.relative_to(ROOT)) for word in line.split()[3:] for path in ROOT.glob(word)}
    assert scripts == read


def is_shell(path: Path) -> bool:
    with path.open("rb") as file:
        return re.match(rb"#!.*\b(ba|da|z)?sh\b", file.readline()) is not None
