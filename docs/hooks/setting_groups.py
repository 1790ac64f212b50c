"""The yaml files of `configs/`: what each is for, in its own words, and what it sets."""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from writing import block, heading

from mlops_cls.compose import SWEEPS, config_folder

NO_SETTING = "# @package"


def described() -> str:
    """Return a heading for each group, and below it one for each of its files."""
    return "\n\n".join(part for group in group_folders() for part in _group(group, _chosen()))


def group_folders() -> list[Path]:
    """Return the folders of which a run takes a file each."""
    return [group for group in sorted(config_folder().iterdir()) if group.is_dir() and group.name != SWEEPS]


def _chosen() -> dict[str, str]:
    """Return the file of each group that is taken unless another is named."""
    listed = yaml.safe_load((config_folder() / "train.yaml").read_text(encoding="utf-8"))["defaults"]
    return {group: option for each in listed if isinstance(each, dict) for group, option in each.items()}


def _group(group: Path, chosen: dict[str, str]) -> Iterator[str]:
    yield heading(2, f"{group.name}=", group.name)
    for file in sorted(group.glob("*.yaml")):
        taken = " (taken by default)" if chosen.get(group.name) == file.stem else ""
        yield heading(3, f"{group.name}={file.stem}{taken}", f"{group.name}-{file.stem}")
        yield from _file(file)


def _file(file: Path) -> Iterator[str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    remarks = [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
    yield "  \n".join(map(_linked, remarks[lines[0].startswith(NO_SETTING) :]))
    settings = [line for line in lines if not line.startswith("#")]
    if settings:
        yield block("yaml", "\n".join(settings))


def _linked(remark: str) -> str:
    remark = re.sub(r"docs/(\w+\.md)", r"[\1](\1)", remark)
    return re.sub(r"^Command: +(.+)", r"Command: `\1`", remark)
