"""Pictures within a page: small, and where the network looked laid over them."""

import base64
import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlops_cls.pictures import Pixels

LARGEST = 224  # pixels a side; twice what is shown, for fine screens
PIXEL_ART = 64  # up to here every pixel is kept and stays visible
OVERLAY = 160  # a map over a small picture has this many pixels at least
# From black over purple and orange to yellow, ever lighter, so that it reads without colour too: matplotlib's inferno.
RAMP = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], np.float32)


def data_uri(pixels: Pixels) -> str:
    """Return the picture uint8[H,W,C] as a WebP file within a URI; pixel for pixel if it is small."""
    picture = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
    small = max(picture.size) <= PIXEL_ART
    picture.thumbnail((LARGEST, LARGEST))
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "WEBP", lossless=small, quality=80, method=2)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def is_small(pixels: Pixels) -> bool:
    """Tell whether a picture is to be enlarged without blurring its pixels."""
    return bool(max(pixels.shape[:2]) <= PIXEL_ART)


def lay_over(pixels: Pixels, evidence: NDArray[np.float32]) -> Pixels:
    """Return uint8[H,W,3]: the picture paled, with the map float32[H,W] of 0 to 1 in colour where it is high."""
    times = math.ceil(OVERLAY / max(pixels.shape[:2]))
    height, width = (side * times for side in pixels.shape[:2])
    smooth = Image.fromarray(evidence).resize((width, height), Image.Resampling.BICUBIC)
    heat = np.clip(np.asarray(smooth, np.float32), 0, 1)
    colour = np.stack([np.interp(heat, np.linspace(0, 1, len(RAMP)), RAMP[:, i]) for i in range(3)], axis=2)
    enlarged = pixels.repeat(times, 0).repeat(times, 1).astype(np.float32)
    pale = 0.5 * enlarged + 0.5 * enlarged.mean(2, keepdims=True)
    weight = 0.8 * (heat**0.8)[..., None]
    mixed: Pixels = ((1 - weight) * pale + weight * colour).astype(np.uint8)
    return mixed
