"""A bundle: the folder in which a trained model leaves its run, with all that is needed to use it; read without torch.

bundle/
    model.onnx             images uint8[N,C,H,W] to probabilities float32[N,K] and embedding float32[N,F]
    model.int8.onnx        the same in 8-bit numbers, where it was asked for and loses little
    card.json              the model card; its `export` has the SHA-256 of every other file
    outputs.parquet        logits of the test pictures, to compare another model with
    reference.npz          how pictures and answers were at home, to notice when they change
    MODEL_CARD.md          the card for people
    weights.safetensors    the network's weights, where they were asked for
    samples/               test pictures and the answers to them, where they were asked for
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Self

from mlops_cls.card import ModelCard
from mlops_cls.errors import ArtifactError, first_few

FORMAT = 1
FOLDER = "bundle"
MODEL, INT8, CARD = "model.onnx", "model.int8.onnx", "card.json"
OUTPUTS, MODEL_CARD, WEIGHTS, SAMPLES = "outputs.parquet", "MODEL_CARD.md", "weights.safetensors", "samples"
REFERENCE = "reference.npz"
IMAGES, PROBABILITIES, EMBEDDING = "images", "probabilities", "embedding"
"""What the graph calls its input and its outputs."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files are those that were exported."""

    folder: Path
    card: ModelCard

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Read the card and verify every file that it names.

        Raises:
            ArtifactError: no bundle, of another version, or a file is missing or damaged; the message names it.
        """
        folder = Path(path)
        card = _read_card(folder)
        wrong = [name for name, digest in card.export["files"].items() if _digest_within(folder, name) != digest]
        if wrong:
            raise ArtifactError(
                f"{folder} is not as it was exported; missing or damaged: {first_few(wrong)}. Copy it again, or make "
                "it anew: python -m mlops_cls.export RUN"
            )
        return cls(folder, card)

    @staticmethod
    def is_at(path: str | Path) -> bool:
        """Tell whether a folder looks like a bundle; `open` tells what is wrong with it."""
        return (Path(path) / MODEL).is_file()

    @property
    def model(self) -> Path:
        return self.folder / MODEL

    @property
    def int8(self) -> Path | None:
        """The model in 8-bit numbers, if the bundle has it."""
        return self._has(INT8)

    @property
    def outputs(self) -> Path | None:
        """The saved outputs of the test pictures, if the bundle has them."""
        return self._has(OUTPUTS)

    @property
    def reference(self) -> Path | None:
        """The saved `monitoring.reference.Reference`; None where the data were not there at export."""
        return self._has(REFERENCE)

    @property
    def weights(self) -> Path | None:
        """The network's weights, if they were asked for."""
        return self._has(WEIGHTS)

    @property
    def samples(self) -> list[dict[str, Any]]:
        """The sample pictures: ``file`` (a path), ``label`` and ``probabilities``; empty if none were asked for."""
        if self._has(f"{SAMPLES}/{SAMPLES}.json") is None:
            return []
        listed = json.loads((self.folder / SAMPLES / f"{SAMPLES}.json").read_text(encoding="utf-8"))
        return [sample | {"file": self.folder / SAMPLES / sample["file"]} for sample in listed]

    def _has(self, name: str) -> Path | None:
        # Only what the card names is verified.
        return self.folder / name if name in self.card.export["files"] else None


def seal(folder: Path, card: ModelCard) -> ModelCard:
    """Write the card with the SHA-256 of all other files of the folder, which is then a bundle; return that card."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file != folder / CARD)
    digests = {file.relative_to(folder).as_posix(): digest(file) for file in files}
    sealed = replace(card, export={"format": FORMAT, **card.export, "files": digests})
    sealed.save(folder / CARD)
    return sealed


def digest(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _read_card(folder: Path) -> ModelCard:
    if not (folder / CARD).is_file() or not Bundle.is_at(folder):
        inside = f"; did you mean {folder / FOLDER}?" if Bundle.is_at(folder / FOLDER) else ""
        raise ArtifactError(
            f"{folder} is no bundle: {CARD} and {MODEL} are expected in it{inside}"
            f"{'' if inside else ' (python -m mlops_cls.export RUN makes one)'}"
        )
    try:
        card = ModelCard.from_dict(json.loads((folder / CARD).read_text(encoding="utf-8")))
    except ValueError as error:
        reason = str(error) if isinstance(error, ArtifactError) else f"damaged ({error})"
        raise ArtifactError(f"{folder / CARD}: {reason}") from error
    if card.export.get("format") != FORMAT or MODEL not in card.export.get("files", {}):
        raise ArtifactError(
            f"{folder} is no bundle that this version of mlops_cls reads: format {card.export.get('format')!r}, "
            f"expected {FORMAT}; export its run again"
        )
    return card


def is_inside(name: str) -> bool:
    """Tell whether a name of a card's files leads to a place in its bundle."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _digest_within(folder: Path, name: str) -> str | None:
    return digest(folder / name) if is_inside(name) and (folder / name).is_file() else None
