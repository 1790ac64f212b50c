"""A collection or folder compared with a bundle: the value behind page, JSON and table."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from mlops_cls.bundle import Bundle
from mlops_cls.drifting.items import Gathered
from mlops_cls.drifting.unusual import Floats, unusualness
from mlops_cls.monitoring.drift import ALPHA, ENOUGH
from mlops_cls.monitoring.findings import Findings, small_reference
from mlops_cls.monitoring.reference import Reference
from mlops_cls.monitoring.windows import History, accuracy_of, in_windows


@dataclass(frozen=True)
class Examined:
    """What was compared with what, and what came of it.

    `gathered` are all pictures, `history` those that were tested; `notes` say what was left out of both.
    """

    bundle: Bundle
    reference: Reference
    gathered: Gathered
    history: History
    findings: Findings
    notes: Sequence[str]

    @cached_property
    def unusual(self) -> Floats:
        """How unusual each gathered picture is, 0 to 1."""
        return unusualness(self.reference, self.gathered.history(self.reference.classes).sample)


def examine(
    bundle: Bundle, reference: Reference, gathered: Gathered, *, window: int, every: bool = False, looks: int = 1
) -> Examined:
    """Test pictures and answers, and the accuracy where people told the truth.

    Args:
        bundle: whose answers they are.
        reference: its own.
        gathered: pictures, one at least.
        window: pictures of a window, where times are known.
        every: test pictures that came together in a request too.
        looks: how often somebody will look, this time included; they share the chance of a false alarm.
    """
    tested = gathered if every else gathered.one_of_each_request()
    history, everything = (part.history(reference.classes) for part in (tested, gathered))
    alpha = ALPHA / looks
    size = window if gathered.timed else len(history)
    enough = len(history) >= ENOUGH and not small_reference(reference)
    changes, windows = in_windows(reference, history, size, alpha=alpha) if enough else ([], [])
    findings = Findings(
        model=bundle.card.digest,
        pictures=len(history),
        needed=ENOUGH,
        since=history.times[0] if gathered.timed else None,
        until=history.times[-1] if gathered.timed else None,
        changes=changes,
        windows=windows if gathered.timed else [],
        accuracy=accuracy_of(everything.sample.predicted, everything.truth),
        alpha=alpha,
        past_counts=True,
        words=small_reference(reference),
    )
    return Examined(bundle, reference, gathered, history, findings, tested.notes)
