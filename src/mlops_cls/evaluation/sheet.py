"""A contact sheet: each picture as it is, and beside it as training sees it, time after time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from mlops_cls.evaluation.plots import label_of, save
from mlops_cls.pictures import Pixels

TILE = 112  # pixels a side
GAP, DIVIDE = 4, 14
Row = tuple[str, Pixels, Sequence[Pixels]]


def draw_sheet(path: Path, rows: Sequence[Row]) -> None:
    """Draw a line per row: its name, its picture uint8[H,W,C], and the pictures made from it."""
    lines = [_line(before, after) for _, before, after in rows]
    sheet = np.concatenate(lines)
    figure = Figure(figsize=(sheet.shape[1] / 100 + 1.6, sheet.shape[0] / 100 + 0.5), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(sheet, interpolation="nearest")
    middles = [TILE / 2 + i * (TILE + GAP) for i in range(len(rows))]
    axes.set_yticks(middles, [label_of(name) for name, _, _ in rows], parse_math=False)
    axes.set_xticks([TILE / 2, (TILE + DIVIDE + sheet.shape[1]) / 2], ["before", "after"])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    save(figure, path)


def _line(before: Pixels, after: Sequence[Pixels]) -> Pixels:
    parts = [_tile(before), np.full((TILE, DIVIDE - GAP, 3), 255, np.uint8), *map(_tile, after)]
    gap = np.full((TILE, GAP, 3), 255, np.uint8)
    line = np.concatenate([piece for part in parts for piece in (part, gap)][:-1], axis=1)
    return np.pad(line, ((0, GAP), (0, 0), (0, 0)), constant_values=255)


def _tile(picture: Pixels) -> Pixels:
    """Return uint8[TILE,TILE,3]; small pictures keep their pixels visible."""
    image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).convert("RGB")
    small = image.width < TILE
    return np.asarray(image.resize((TILE, TILE), Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS))
