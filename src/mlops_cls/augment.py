"""Draw pictures before and after augmentation: ``python -m mlops_cls.augment experiment=resnet18``."""

from pathlib import Path
from typing import TYPE_CHECKING

from mlops_cls.cli import run_verb

if TYPE_CHECKING:
    from mlops_cls.config import Config
    from mlops_cls.data.datamodules import ImageDataModule
    from mlops_cls.pictures import Pixels

USAGE = """Draw training pictures before and after augmentation, as one PNG in run.folder.

  python -m mlops_cls.augment experiment=resnet18
  python -m mlops_cls.augment data=folder data.root=my_pictures augment=strong"""
MOST_CLASSES, DRAWS = 8, 8


def main(arguments: list[str]) -> None:
    """Draw the contact sheet of the augmentation that the command line asks for."""
    from mlops_cls.compose import run_with_config

    run_with_config(_draw, "mlops_cls.augment", arguments, usage=USAGE)


def _draw(config: "Config") -> None:
    from mlops_cls.build import check, make_datamodule, read_start
    from mlops_cls.errors import ConfigError
    from mlops_cls.evaluation.sheet import draw_sheet

    check(config)
    if not config.augment.transforms:
        raise ConfigError(
            "augment has no transforms, so before and after are the same: choose one, such as augment=medium"
        )
    data = make_datamodule(config, read_start(config.model).wanted)
    pictures = _one_of_each_class(data)
    rows = [
        (name, picture, _vary(data, picture, first=i * DRAWS)) for i, (name, picture) in enumerate(pictures.items())
    ]
    path = Path(config.run.folder) / f"{config.run.name}_augment.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_sheet(path, rows)
    print(f"before and after in {path}")
    if config.augment.mixup or config.augment.cutmix:
        print("mixup and cutmix mix whole batches and are not drawn")


def _one_of_each_class(data: "ImageDataModule") -> "dict[str, Pixels]":
    """Return the first training picture of each class, of the first few classes, uint8[H,W,C]."""
    labels, images = data.prepared.labels("train"), data.prepared.images("train")
    names = data.manifest.classes[:MOST_CLASSES]
    return {name: images[int((labels == label).argmax())] for label, name in enumerate(names)}


def _vary(data: "ImageDataModule", picture: "Pixels", *, first: int) -> "list[Pixels]":
    """Return the picture after as many draws as a line shows, by seeds of its own; AlternatingFlip takes turns."""
    from mlops_cls.data.sampling import MIRROR

    assert data.augment is not None
    return [data.augment(picture, first + draw + draw % 2 * MIRROR) for draw in range(DRAWS)]


if __name__ == "__main__":
    run_verb(main)
