"""A classifier's answers on a whole split, kept beside the run: every score is made from them, without torch."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.special import softmax

from mlops_cls.atomic import replacing
from mlops_cls.errors import ArtifactError

COLUMNS = ("id", "label", "group", "logits")
CLASSES = b"classes"


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """Logits float32[N,K], not calibrated, and true labels int64[N] of the samples `ids`.

    `groups` tells whose pictures belong together, None where nothing does; `metadata` has a row per picture with the
    data set's own columns.
    """

    ids: list[str]
    labels: NDArray[np.int64]
    logits: NDArray[np.float32]
    classes: tuple[str, ...]
    groups: tuple[str, ...] | None = None
    metadata: pa.Table = field(default_factory=lambda: pa.table({}))

    def probabilities(self, temperature: float = 1.0) -> NDArray[np.float32]:
        """Return float32[N,K], rows sum to 1: the softmax of the logits divided by the card's temperature."""
        return probabilities_of(self.logits, temperature)

    @property
    def confusion(self) -> NDArray[np.int64]:
        """int64[K,K], rows are true classes."""
        num_classes = self.logits.shape[1]
        pairs = self.labels * num_classes + self.logits.argmax(1)
        return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)

    def save(self, path: Path) -> None:
        """Write a Parquet file: id, label, group, logits and the data set's own columns."""
        width = self.logits.shape[1]
        own = pa.table(
            {
                "id": pa.array(self.ids, pa.string()),
                "label": pa.array(self.labels),
                "group": pa.array(self.groups or [None] * len(self.ids), pa.string()),
                "logits": pa.FixedSizeListArray.from_arrays(pa.array(self.logits.ravel()), width),
            }
        )
        for name in self.metadata.column_names:
            own = own.append_column(name, self.metadata[name])
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as aside:
            pq.write_table(own.replace_schema_metadata({CLASSES: json.dumps(self.classes)}), aside)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ArtifactError: missing or damaged.
        """
        try:
            table = pq.read_table(path)
            classes = tuple(json.loads(table.schema.metadata[CLASSES]))
            groups = table["group"].to_pylist()
            logits = table["logits"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            return cls(
                ids=table["id"].to_pylist(),
                labels=table["label"].to_numpy(),
                logits=logits.reshape(-1, len(classes)),
                classes=classes,
                groups=None if None in groups else tuple(groups),
                metadata=table.drop_columns(list(COLUMNS)),
            )
        except (OSError, pa.ArrowException, LookupError, TypeError, ValueError) as error:
            raise ArtifactError(f"{path} holds no saved outputs of a classifier ({error})") from error


def probabilities_of(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Return float32[N,K]: the softmax of the logits divided by the temperature, which every consumer shows."""
    probabilities: NDArray[np.float32] = softmax(logits / np.float32(temperature), axis=1)
    return probabilities


def join(parts: Sequence[Outputs]) -> Outputs:
    """Return the outputs of several splits of one data set as one."""
    grouped = all(part.groups is not None for part in parts)
    return Outputs(
        [sample for part in parts for sample in part.ids],
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.logits for part in parts]),
        parts[0].classes,
        tuple(group for part in parts for group in part.groups or ()) if grouped else None,
        pa.concat_tables([part.metadata for part in parts]),
    )
