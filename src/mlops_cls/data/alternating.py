"""A mirror that takes turns; apart from `augment.py` because importing albumentations takes seconds."""

import albumentations


class AlternatingFlip(albumentations.HorizontalFlip):
    """Mirror a picture left to right in every second epoch; which half of the pictures begins is random.

    So any two epochs in a row show both sides of each picture, where independent flips repeat one side half the time:
    Jordan 2024, arXiv:2404.00498. The caller sets `mirrored` before each picture.
    """

    mirrored = False

    def __init__(self) -> None:
        super().__init__(p=1)

    def should_apply(self, force_apply: bool = False) -> bool:
        return self.mirrored
