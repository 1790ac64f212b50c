"""The report in Markdown, as it stands below a change that brought other data: counts, and what the doctor found."""

import re
from collections.abc import Sequence

from mlops_cls.data.doctor.findings import Finding, Report, counted
from mlops_cls.data.split import SPLITS
from mlops_cls.data.store import Prepared

MOST_OPEN = 20
"""Classes; of more the table is folded."""
SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#|~&@!])")


def summarise(prepared: Prepared) -> str:
    """Return a heading, the findings with their cures, and a table of pictures per class and split."""
    manifest, report = prepared.manifest, Report.load(prepared.folder)
    found = ", ".join(f"{number} {severity}" for severity, number in report.summary().items())
    lines = [
        f"### {plain(manifest.source)}: {counted(len(prepared.table), 'picture')}, {found}",
        "",
        *(_item(finding) for finding in report.findings),
        *([""] if report.findings else []),
        *_folded(_table(prepared), len(manifest.classes)),
        "",
        f"Split {plain(manifest.split_by)}, `{manifest.split_hash[:12]}`; pixels and labels `{manifest.content[:12]}`.",
    ]
    return "\n".join(lines) + "\n"


def plain(text: str) -> str:
    """Return a text of which Markdown and HTML make nothing else, in one line, without a mention of anybody."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split())).replace("\\@", "@\u200b")


def _item(finding: Finding) -> str:
    return f"- **{finding.severity.value}** {plain(finding.title)}: {plain(finding.cure)}"


def _table(prepared: Prepared) -> list[str]:
    counts = [prepared.manifest.counts[split] for split in SPLITS]
    rows = [(plain(name), [count[name] for count in counts]) for name in prepared.manifest.classes]
    together = [sum(count.values()) for count in counts]
    heads = ["| class | " + " | ".join(SPLITS) + " | all |", "| --- |" + " ---: |" * (len(SPLITS) + 1)]
    return [*heads, *(_row(name, numbers) for name, numbers in [*rows, ("**all**", together)])]


def _row(name: str, numbers: Sequence[int]) -> str:
    return f"| {name} | " + " | ".join(f"{number:,}" for number in [*numbers, sum(numbers)]) + " |"


def _folded(table: list[str], classes: int) -> list[str]:
    if classes <= MOST_OPEN:
        return table
    return [f"<details><summary>{counted(classes, 'class')}</summary>", "", *table, "", "</details>"]
