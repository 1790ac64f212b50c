"""Prepare a data set without training: ``python -m mlops_cls.prepare data=folder data.root=my_pictures``."""

from typing import TYPE_CHECKING

from mlops_cls.cli import run_verb

if TYPE_CHECKING:
    from mlops_cls.config import Config
    from mlops_cls.data.manifest import Manifest

USAGE = """Turn raw pictures into a checked, split, memory-mapped store; training would do the same at its start.

  python -m mlops_cls.prepare data=digits
  python -m mlops_cls.prepare experiment=resnet18 data=folder data.root=my_pictures"""


def main(arguments: list[str]) -> None:
    """Prepare the data that the command line asks for, and say what is in it."""
    from mlops_cls.compose import run_with_config

    run_with_config(_prepare, "mlops_cls.prepare", arguments, usage=USAGE)


def _prepare(config: "Config") -> None:
    from mlops_cls.build import check, make_datamodule, read_start
    from mlops_cls.data.doctor.policy import told

    check(config)
    data = make_datamodule(config, read_start(config.model).wanted)
    print(_describe(data.manifest))
    for line in told(data.prepared, data.check):
        print(line)
    print(f"prepared in {data.prepared.folder}")


def _describe(manifest: "Manifest") -> str:
    width = max(map(len, ("class", *manifest.classes)))
    lines = ["".join([f"{'class':<{width}}", *(f"  {split:>7}" for split in manifest.counts)])]
    for name in manifest.classes:
        lines.append("".join([f"{name:<{width}}", *(f"  {counts[name]:>7}" for counts in manifest.counts.values())]))
    lines.append("".join([f"{'all':<{width}}", *(f"  {manifest.size_of(split):>7}" for split in manifest.counts)]))
    geometry = manifest.geometry
    colour = "grey" if geometry.channels == 1 else "RGB"
    modes = ", ".join(f"{number} {mode}" for mode, number in manifest.modes.items())
    lines.append(
        f"split {manifest.split_by}; {geometry.size}x{geometry.size} {colour} ({geometry.resize}); modes: {modes}"
    )
    lines += [f"skipped {name}: {reason}" for name, reason in manifest.skipped.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    run_verb(main)
