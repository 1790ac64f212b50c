"""Copies are found among thousands of pictures of one kind, and nothing else is."""

import io

import numpy as np
from PIL import Image

from mlops_cls.data.doctor.copies import LEAST_CORRELATION, near_copies
from mlops_cls.data.facts import look_at


def through_jpeg(original: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    original.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert(original.mode)


def test_copies_are_lost_among_thousands_of_pictures_or_found_among_none() -> None:
    # Smooth random fields: no two alike, but all of one kind, as photographs are.
    generator = np.random.default_rng(0)
    coarse = generator.normal(128, 45, (4000, 6, 6))
    pictures = [
        Image.fromarray(np.clip(c, 0, 255).astype(np.uint8)).resize((80, 80), Image.Resampling.BICUBIC) for c in coarse
    ]
    copied = range(0, 4000, 100)
    pictures += [through_jpeg(pictures[i], 60) for i in copied]
    thumbs = np.stack([thumb(p) for p in pictures])
    found = {tuple(cluster.tolist()) for cluster in near_copies(thumbs)}
    expected = {(i, 4000 + k) for k, i in enumerate(copied)}
    flat = thumbs.reshape(len(thumbs), -1).astype(float)
    truly = np.corrcoef(flat)[:4000, :4000] - np.eye(4000)
    assert truly.max() < LEAST_CORRELATION
    assert found == expected


def thumb(original: Image.Image) -> np.ndarray:
    looks = look_at(original, np.asarray(original))
    return np.frombuffer(looks.thumb, np.uint8).reshape(16, 17)
