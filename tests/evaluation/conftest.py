"""Outputs of imaginary classifiers."""

from collections.abc import Callable

import numpy as np
import pytest

from mlops_cls.evaluation.outputs import Outputs


@pytest.fixture(scope="session")
def make_outputs() -> Callable[..., Outputs]:
    """Return a function that draws outputs of a classifier; `strength` is how much higher the true logit is."""

    def make(
        pictures: int,
        num_classes: int,
        *,
        seed: int = 0,
        strength: float = 2.0,
        scale: float = 1.0,
        present: int | None = None,
        group_size: int | None = None,
    ) -> Outputs:
        generator = np.random.default_rng(seed)
        labels = generator.integers(0, present or num_classes, pictures)
        logits = generator.normal(size=(pictures, num_classes))
        logits[np.arange(pictures), labels] += strength
        groups = tuple(f"g{i // group_size}" for i in range(pictures)) if group_size else None
        classes = tuple(f"class {k}" for k in range(num_classes))
        ids = [f"{i:05d}.png" for i in range(pictures)]
        return Outputs(ids, labels, (scale * logits).astype(np.float32), classes, groups)

    return make
