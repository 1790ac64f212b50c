"""What is remembered of a picture beside its pixels: how it lay in the raw data, and what gives copies away."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from mlops_cls.data.manifest import readable
from mlops_cls.data.scan import Header
from mlops_cls.data.store import Prepared
from mlops_cls.pictures import Pixels

FILE = "facts.parquet"
THUMB = (17, 16)  # width and height; 16 x 16 differences of neighbours make the perceptual hash
DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Looks:
    """`digest`: of the pixels in the store, equal for equal pictures. `thumb`: uint8[16,17] grey, as bytes.

    `brightness` and `contrast` are mean and standard deviation of the thumb, in 0..255.
    """

    digest: bytes
    thumb: bytes
    brightness: float
    contrast: float


def look_at(picture: Image.Image, stored: Pixels) -> Looks:
    """Return the looks of a decoded picture; `stored` is the same picture as it goes into the store."""
    # A filter that weighs by distance, so that the thumb hardly depends on the size of the picture.
    thumb = np.asarray(picture.convert("L").resize(THUMB, Image.Resampling.BILINEAR, reducing_gap=3.0))
    digest = hashlib.blake2b(stored.tobytes(), digest_size=DIGEST_BYTES).digest()
    return Looks(digest, thumb.tobytes(), float(thumb.mean()), float(thumb.std()))


def write_facts(folder: Path, headers: Sequence[Header], looks: Sequence[Looks]) -> pa.Table:
    """Write one row per picture, in the order of the sample table, and return the rows."""
    columns = {
        field.name: [getattr(value, field.name) for value in values]
        for kind, values in ((Header, headers), (Looks, looks))
        for field in fields(kind)
    }
    table = pa.table(columns)
    pq.write_table(table, folder / FILE)
    return table


def sizes_of(prepared: Prepared, split: str) -> NDArray[np.int64]:
    """Return width and height of a split's raw pictures, int64[N,2] in row order.

    Raises:
        DataError: the facts cannot be read.
    """
    with readable(prepared.folder):
        sides = pq.read_table(prepared.folder / FILE, columns=["width", "height"])
        for name in ("split", "row"):
            sides = sides.append_column(name, prepared.table[name])
    own = sides.filter(pc.field("split") == split).sort_by("row")
    return np.stack([own["width"].to_numpy(), own["height"].to_numpy()], axis=1)
