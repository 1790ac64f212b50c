"""What a run does about the doctor's findings: `data.check`."""

from mlops_cls.choices import CheckPolicy
from mlops_cls.data.doctor.findings import Report, Severity
from mlops_cls.data.doctor.page import FILE as PAGE
from mlops_cls.data.store import Prepared
from mlops_cls.errors import DataError


def judge(prepared: Prepared, policy: CheckPolicy) -> None:
    """Refuse a prepared data set by whose splits a score would be dishonest, unless the policy is warn or off.

    Raises:
        DataError: with each grave finding and what to do about it.
    """
    if policy is not CheckPolicy.fail or not prepared.manifest.check[Severity.fail]:
        return
    grave = Report.load(prepared.folder).of(Severity.fail)
    lines = "\n".join(f"  {finding.title}: {finding.cure}" for finding in grave)
    raise DataError(
        f"a score on {prepared.manifest.source} would be dishonest:\n{lines}\n"
        f"The pictures are shown in {prepared.folder / PAGE}; data.check=warn goes on all the same"
    )


def told(prepared: Prepared, policy: CheckPolicy) -> list[str]:
    """Return a line for each finding of weight, and where all of them are; nothing if the policy is off."""
    if policy is CheckPolicy.off:
        return []
    found = Report.load(prepared.folder).findings
    lines = [f"check {f.severity.value}: {f.title}" for f in found if f.severity is not Severity.note]
    return [*lines, f"check: all findings with pictures in {prepared.folder / PAGE}"] if lines else []
