"""Everything that is measured of a trained classifier on a split, with what is only measured if it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_cls.backends.kinds import DEFAULT
from mlops_cls.card import ModelCard
from mlops_cls.choices import Device
from mlops_cls.errors import ConfigError, unknown_name
from mlops_cls.evaluation.answers import Answers, calibrated
from mlops_cls.evaluation.assess import Evaluation, assess
from mlops_cls.evaluation.baselines import linear_probe
from mlops_cls.evaluation.flips import flip_scores
from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.evaluation.paired import align, differences
from mlops_cls.evaluation.resampling import Resampling
from mlops_cls.evaluation.robustness import chosen_rows, robustness
from mlops_cls.kept import find_kept
from mlops_cls.models.rates import Floats
from mlops_cls.pictures import Pixels
from mlops_cls.publishing.fetch import local

if TYPE_CHECKING:
    from mlops_cls.scoring import Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class Extras:
    """What is asked for beyond the usual; `robustness` is a number of pictures, 0 for none."""

    against: Sequence[str | Path] = ()
    flips: bool = False
    robustness: int = 0
    probe: bool = False


def evaluate_run(
    model: str | Path,
    split: str = "test",
    *,
    overrides: Sequence[str] = (),
    against: Sequence[str | Path] = (),
    flips: bool = False,
    robustness: int = 0,
    probe: bool = False,
) -> Evaluation:
    """Return what a run, a checkpoint or a bundle is worth on a split, every score with its 95 % interval.

    Args:
        model: a run folder, a .ckpt file of ours, a bundle, or the address of a published one.
        split: train, val, test or all.
        overrides: changed data settings, such as ``data=folder`` and ``data.root=FOLDER``.
        against: others, to be compared with on the same pictures.
        flips: also the mean over each picture and its mirror image.
        robustness: also on so many pictures made worse in 15 ways; 0: not.
        probe: also a linear model on small pictures, as a baseline.

    Raises:
        ArtifactError: no model of ours, or one in `against` was scored on other pictures.
        ConfigError: an override is wrong, or the probe is to be scored on the pictures that it learns from.
        DataError: the data are needed and cannot be prepared.
    """
    extras = Extras(against=against, flips=flips, robustness=robustness, probe=probe)
    return Measured(model, split, overrides).evaluate(extras)


class Measured:
    """A classifier on a split: its outputs, as it has kept them or as it gives them now, and what they are worth.

    Args:
        model: a run folder, a .ckpt file of ours, a bundle, or the address of a published one.
        split: train, val, test or all.
        overrides: changed data settings, such as ``data=folder`` and ``data.root=FOLDER``.
        device: of a checkpoint: auto, cpu, cuda or mps.
        backend: of a bundle, see `backends.kinds.KINDS`.

    Raises:
        ArtifactError: no model of ours.
        ConfigError: no such device.
    """

    def __init__(
        self,
        model: str | Path,
        split: str,
        overrides: Sequence[str] = (),
        *,
        device: str = "auto",
        backend: str = DEFAULT,
    ) -> None:
        if device not in list(Device):
            raise unknown_name("device", device, list(Device))
        self.named, self.model, self.split, self.overrides = str(model), local(model), split, overrides
        self.device, self.backend = device, backend
        # Another back end may answer otherwise.
        self._kept = None if overrides or backend != DEFAULT else find_kept(self.model)

    @property
    def card(self) -> ModelCard:
        return self.subject.card if self._kept is None else self._kept.card

    @cached_property
    def outputs(self) -> Outputs:
        if self._kept is not None and self.split in self._kept.outputs:
            return Outputs.load(self._kept.outputs[self.split])
        return self.subject.outputs(self.split)

    @cached_property
    def subject(self) -> "Subject":
        """The classifier, ready to compute, and its data."""
        # With torch and all that builds a data set; kept outputs need neither.
        from mlops_cls.scoring import Subject, open_trained

        return Subject(open_trained(self.model, device=self.device, backend=self.backend), self.overrides)

    @cached_property
    def answers(self) -> Answers:
        return Answers.of(self.outputs, self.card.calibration.temperature)

    @cached_property
    def resampling(self) -> Resampling:
        return Resampling.draw(len(self.outputs.labels), self.outputs.groups)

    def evaluate(self, extras: Extras) -> Evaluation:
        """Return all scores, and what was asked for beside.

        Raises:
            ArtifactError: a run to compare with was scored on other pictures.
            ConfigError: a linear probe is to be scored on the pictures that it learns from.
        """
        if extras.probe and self.split in ("train", "all"):
            raise ConfigError(f"--probe --split {self.split}: the probe learns from train, so give --split val or test")
        evaluation = assess(self.outputs, calibration=self.card.calibration, split=self.split)
        asked: dict[str, Any] = {}
        if extras.against:
            asked["against"] = [row for path in extras.against for row in self._against(path)]
        if extras.flips:
            asked["flips"] = self._flips()
        if extras.robustness:
            asked["robustness"] = self._robustness(extras.robustness)
        if extras.probe:
            asked["baselines"] = {**evaluation.baselines, "linear_probe": self._probe()}
        return replace(evaluation, **asked)

    def write_report(self, path: Path, evaluation: Evaluation) -> None:
        """Write the page that shows the evaluation with pictures."""
        from mlops_cls.report import page

        page.write_report(
            path,
            page.Subject(
                card=self.card,
                evaluation=evaluation.to_dict(),
                outputs=self.outputs,
                prepared=self.subject.data.prepared,
                place=self.named,
                explain=self.subject.explain,
            ),
        )

    def _against(self, path: str | Path) -> list[dict[str, Any]]:
        other = Measured(path, self.split, self.overrides, device=self.device)
        theirs = align(self.outputs, other.outputs, str(path))
        answers = Answers.of(theirs, other.card.calibration.temperature)
        return [{"run": str(path), **d.to_dict()} for d in differences(self.answers, answers, self.resampling)]

    def _flips(self) -> dict[str, Any]:
        pictures = self.subject.pictures(self.split)
        return flip_scores(self._log_probabilities, pictures, self.answers, self.resampling)

    def _robustness(self, limit: int) -> list[dict[str, Any]]:
        rows = chosen_rows(self.outputs.ids, limit)
        pictures, ids = self.subject.pictures(self.split)[rows], [self.outputs.ids[row] for row in rows]
        clean, resampling = self.answers.take(rows), self.resampling.subset(rows)
        return robustness(self._log_probabilities, pictures, ids, clean, resampling)

    def _probe(self) -> dict[str, Any]:
        prepared = self.subject.data.prepared
        train = prepared.images("train"), prepared.labels("train")
        return linear_probe(train, self.subject.pictures(self.split), self.outputs.labels, self.resampling)

    def _log_probabilities(self, images: Pixels) -> Floats:
        return calibrated(self.subject.logits(images), self.card.calibration.temperature)
