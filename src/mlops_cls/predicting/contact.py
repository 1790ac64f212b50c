"""A contact sheet: pictures with the class and the confidence they were given, for a look at what a model does."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from mlops_cls.atomic import replacing
from mlops_cls.predicting.answers import THUMB, Answer

MOST = 60
"""Pictures on one sheet; of more, as many are drawn at even distances."""
COLUMNS = 10
TILE, GAP, MARGIN = THUMB, 20, 32  # pixels
CAPTION, HEAD, BAR = 72, 76, 6
INK, GREY, RULE, BLUE, AMBER = "#202020", "#707070", "#e4e4e4", "#1f5fa8", "#c77700"


def positions(number: int) -> set[int]:
    """Return which of `number` pictures the sheet shows, the first and the last among them."""
    if number <= MOST:
        return set(range(number))
    return {round(i * (number - 1) / (MOST - 1)) for i in range(MOST)}


def draw_contact(path: Path, answers: Sequence[Answer], *, total: int) -> None:
    """Write a PNG of answers that kept their pictures: by class, and within one the surest first."""
    chosen = sorted((one for one in answers if one.prediction and one.thumb), key=_order)
    columns = min(COLUMNS, max(1, len(chosen)))
    rows = -(-len(chosen) // columns)
    width = max(columns * (TILE + GAP) - GAP, 2 * TILE) + 2 * MARGIN
    sheet = Image.new("RGB", (width, HEAD + rows * (TILE + CAPTION) + MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 26), _title(len(chosen), total), INK, _font(20))
    for i, answer in enumerate(chosen):
        corner = MARGIN + i % columns * (TILE + GAP), HEAD + i // columns * (TILE + CAPTION)
        _draw_tile(sheet, draw, corner, answer)
    with replacing(path) as aside:
        sheet.save(aside, "PNG")


def _order(answer: Answer) -> tuple[int, float]:
    assert answer.prediction is not None
    return answer.prediction.index, -answer.prediction.confidence


def _title(shown: int, total: int) -> str:
    few = "1 picture" if total == 1 else f"{total} pictures"
    return few if shown == total else f"{shown} of {few}, taken at even distances"


def _draw_tile(sheet: Image.Image, draw: ImageDraw.ImageDraw, corner: tuple[int, int], answer: Answer) -> None:
    found, thumb = answer.prediction, answer.thumb
    assert found is not None and thumb is not None
    x, y = corner
    shown = _enlarged(thumb)
    sheet.paste(shown, (x + (TILE - shown.width) // 2, y + (TILE - shown.height) // 2))
    colour = AMBER if found.abstains else BLUE
    top = y + TILE + 4
    draw.rectangle((x, top, x + TILE, top + BAR), RULE)
    draw.rectangle((x, top, x + round(found.confidence * TILE), top + BAR), colour)
    share = f"{found.confidence:.0%}" if found.confidence < 0.995 else ">99%"
    room = TILE - draw.textlength(share, _font(16)) - 8
    draw.text((x + TILE, top + BAR + 4), share, colour, _font(16), anchor="ra")
    draw.text((x, top + BAR + 4), _cut(draw, found.label, _font(16), room), INK, _font(16))
    below = f"abstains · {answer.path.name}" if found.abstains else answer.path.name
    draw.text((x, top + BAR + 25), _cut(draw, below, _font(12), TILE), AMBER if found.abstains else GREY, _font(12))


def _enlarged(thumb: Image.Image) -> Image.Image:
    """Return the picture to fill the tile on one side; small pictures keep their pixels visible."""
    scale = TILE / max(thumb.size)
    sides = max(1, round(thumb.width * scale)), max(1, round(thumb.height * scale))
    return thumb if scale == 1 else thumb.resize(sides, Image.Resampling.NEAREST)


def _cut(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    line = " ".join(text.split())
    if draw.textlength(line, font) <= room:
        return line
    while line and draw.textlength(f"{line}…", font) > room:
        line = line[:-1]
    return f"{line}…"


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # matplotlib brings it, with the letters of more languages than Pillow's own.
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
