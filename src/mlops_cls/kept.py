"""The outputs that a run or a bundle has kept, to be scored again in seconds and without torch."""

from dataclasses import dataclass
from pathlib import Path

from mlops_cls.atomic import write_text
from mlops_cls.bundle import Bundle, digest
from mlops_cls.card import ModelCard
from mlops_cls.run import BEST, Run, find_checkpoint

SIGNATURE = "checkpoint.sha256"
SPLITS = ("val", "test")


@dataclass(frozen=True, slots=True)
class Kept:
    """A model's card, and where the outputs lie that it has kept, per split."""

    card: ModelCard
    outputs: dict[str, Path]


def sign(run: Run) -> None:
    """Note of which checkpoint the run's outputs are."""
    write_text(run.outputs("val").with_name(SIGNATURE), f"{digest(run.checkpoint)}\n")


def find_kept(model: Path) -> Kept | None:
    """Return what a bundle, a run folder or its best checkpoint has kept; None if it is not known to be its own.

    Raises:
        ArtifactError: no such model, or it is damaged.
    """
    if Bundle.is_at(model):
        bundle = Bundle.open(model)
        return Kept(bundle.card, {} if bundle.outputs is None else {"test": bundle.outputs})
    checkpoint = find_checkpoint(model)
    home = checkpoint.parent.parent
    signature = home / "outputs" / SIGNATURE
    if checkpoint != home / BEST or not signature.is_file():
        return None
    if signature.read_text(encoding="utf-8").strip() != digest(checkpoint):
        return None
    run = Run.open(home)
    return Kept(run.card, {split: run.outputs(split) for split in SPLITS})
