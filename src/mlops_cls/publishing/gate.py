"""Is a new model better than the published one? Asked of the same test pictures, in pairs."""

from pathlib import Path

from mlops_cls.bundle import Bundle
from mlops_cls.errors import ArtifactError
from mlops_cls.evaluation.answers import Answers
from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.evaluation.paired import Difference, align, differences
from mlops_cls.evaluation.resampling import Resampling


def compare(new: Bundle, old: Bundle, name: str) -> tuple[int, dict[str, Difference]]:
    """Return on how many pictures two bundles were compared, and the new one's scores less those of the old one.

    Raises:
        ArtifactError: a bundle has no saved outputs, or they are of other pictures, labels or classes.
    """
    ours, theirs = Outputs.load(_outputs(new, "it")), Outputs.load(_outputs(old, name))
    before = Answers.of(align(ours, theirs, name), old.card.calibration.temperature)
    now = Answers.of(ours, new.card.calibration.temperature)
    found = differences(now, before, Resampling.draw(len(ours.labels), ours.groups))
    return len(ours.labels), {difference.score: difference for difference in found}


def told(difference: Difference) -> str:
    """Return a difference with its interval and p in one line."""
    low, high = f"{difference.low:+.4f}", f"{difference.high:+.4f}"
    return f"{difference.difference:+.4f} (95 % interval {low} to {high}, p {difference.p:.2g})"


def _outputs(bundle: Bundle, name: str) -> Path:
    if bundle.outputs is None:
        raise ArtifactError(
            f"{name} holds no outputs of its test pictures, so it cannot be compared: publish without --if-better, "
            "or export from a finished run"
        )
    return bundle.outputs
