"""What the report asks of a classifier itself; apart, since the rest of it needs no torch."""

from collections.abc import Sequence

from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.evidence import find_evidence
from mlops_cls.pictures import Pixels
from mlops_cls.report.gallery import Explain, Maps


def explained_by(classifier: ImageClassifier) -> Explain:
    """Return the function that tells where in a picture the classifier found what speaks for a class."""

    def explain(images: Pixels, classes: Sequence[int]) -> Maps:
        found = find_evidence(classifier, images, classes)
        return found.method, found.maps

    return explain
