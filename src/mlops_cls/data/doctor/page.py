"""The report as one HTML page that needs no other file: findings with their pictures, and how the data are made up."""

import base64
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from html import escape
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from mlops_cls.data.doctor.findings import Finding, Report, Severity
from mlops_cls.data.facts import FILE as FACTS
from mlops_cls.data.split import SPLITS
from mlops_cls.data.store import Prepared

FILE = "check.html"
MOST_CASES, MOST_PICTURES = 7, 4
SIDE = 104
VERDICTS = {
    Severity.fail: "a score would be dishonest",
    Severity.warn: "look before you trust a score",
    Severity.note: "worth knowing",
}
STYLE = """
:root { --ink: #1d2733; --soft: #5d6b7a; --line: #dfe5eb; --paper: #fff; --ground: #f4f6f8;
  --fail: #b3261e; --warn: #9a6700; --note: #4a6785; --train: #4a6785; --val: #d08c2f; --test: #3f8f6b; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; margin: 0; } h2 { font-size: 18px; margin: 36px 0 12px; }
.soft { color: var(--soft); margin: 4px 0 0; }
.chips { display: flex; flex-wrap: wrap; gap: 8px; margin: 18px 0 0; }
.chip { padding: 3px 12px; border-radius: 14px; color: #fff; font-weight: 600; }
.chip.none { background: #a9b4bf; }
.fail { background: var(--fail); } .warn { background: var(--warn); } .note { background: var(--note); }
article { background: var(--paper); border: 1px solid var(--line); border-left: 5px solid; border-radius: 6px;
  padding: 14px 18px; margin: 0 0 14px; }
article.fail, article.warn, article.note { background: var(--paper); }
article.fail { border-left-color: var(--fail); } article.warn { border-left-color: var(--warn); }
article.note { border-left-color: var(--note); }
article h3 { margin: 0; font-size: 16px; } article p { margin: 4px 0 0; }
.kind { color: var(--soft); font: 12px ui-monospace, monospace; }
.cases { display: flex; flex-wrap: wrap; gap: 10px; margin-top: 12px; }
.case { display: flex; gap: 6px; background: var(--ground); padding: 6px; border-radius: 4px; }
figure { margin: 0; width: 104px; }
figure img { width: 104px; height: 104px; object-fit: contain; background: #000; display: block; border-radius: 2px; }
figcaption { font-size: 11px; line-height: 1.3; color: var(--soft); overflow-wrap: anywhere; margin-top: 3px; }
figcaption b { color: var(--ink); }
table { border-collapse: collapse; background: var(--paper); width: 100%; border: 1px solid var(--line); }
th, td { padding: 5px 10px; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; }
td.bars { width: 38%; min-width: 120px; }
.bar { display: inline-block; height: 11px; vertical-align: middle; }
.train { background: var(--train); } .val { background: var(--val); } .test { background: var(--test); }
"""


def write_page(folder: Path, report: Report) -> None:
    """Write the page into the folder of the prepared data set that it is about."""
    (folder / FILE).write_text(_Page(Prepared(folder), report).html(), encoding="utf-8")


class _Page:
    def __init__(self, prepared: Prepared, report: Report) -> None:
        self.prepared, self.manifest, self.report = prepared, prepared.manifest, report
        self.images = {split: prepared.images(split) for split in SPLITS}

    def html(self) -> str:
        """Return the whole page."""
        title = f"Data check: {escape(self.manifest.source)}"
        findings = "".join(self._section(severity) for severity in Severity)
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body><main>'
            f'<h1>{title}</h1><p class="soft">{escape(self._overview())}</p>{self._chips()}'
            f"{findings}{self._classes()}</main></body></html>\n"
        )

    def _overview(self) -> str:
        geometry, facts = self.manifest.geometry, pq.read_table(self.prepared.folder / FACTS)
        formats = Counter(facts["format"].to_pylist())
        middle = [int(np.median(facts[side].to_numpy())) for side in ("width", "height")]
        return (
            f"{len(facts):,} pictures, {len(self.manifest.classes)} classes; "
            f"{', '.join(f'{number:,} {name}' for name, number in formats.most_common())}; "
            f"median {middle[0]}x{middle[1]}, prepared as {geometry.size}x{geometry.size} "
            f"{'grey' if geometry.channels == 1 else 'RGB'} ({geometry.resize}); split {self.manifest.split_by}"
        )

    def _chips(self) -> str:
        numbers = self.report.summary()
        chips = (f'<span class="chip {name if n else "none"}">{n} {name}</span>' for name, n in numbers.items())
        return f'<div class="chips">{"".join(chips)}</div>'

    def _section(self, severity: Severity) -> str:
        found = self.report.of(severity)
        if not found:
            return ""
        cards = "".join(self._card(finding) for finding in found)
        return f"<h2>{severity.value}: {VERDICTS[severity]}</h2>{cards}"

    def _card(self, finding: Finding) -> str:
        cases = "".join(
            f'<div class="case">{"".join(self._figures(case))}</div>' for case in finding.cases[:MOST_CASES]
        )
        more = len(finding.cases) - MOST_CASES
        rest = f'<p class="soft">and {more:,} more in check.json</p>' if more > 0 else ""
        return (
            f'<article class="{finding.severity.value}"><h3>{escape(finding.title)}</h3><p>{escape(finding.cure)}</p>'
            f'<span class="kind">{escape(finding.kind)}</span><div class="cases">{cases}</div>{rest}</article>'
        )

    def _figures(self, case: Sequence[str]) -> Iterator[str]:
        for name in case[:MOST_PICTURES]:
            split, row, label = self._place.get(name, ("", -1, self.manifest.skipped.get(name, "")))
            picture = f'<img alt="" src="{self._thumbnail(split, row)}">' if split else ""
            yield f"<figure>{picture}<figcaption><b>{escape(label)}</b> {split}<br>{escape(name)}</figcaption></figure>"

    @cached_property
    def _place(self) -> dict[str, tuple[str, int, str]]:
        columns = (self.prepared.table[name].to_pylist() for name in ("id", "split", "row", "class"))
        return {name: (split, row, label) for name, split, row, label in zip(*columns, strict=True)}

    def _thumbnail(self, split: str, row: int) -> str:
        pixels = self.images[split][row]
        picture = Image.fromarray(np.asarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
        picture.thumbnail((SIDE, SIDE))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=80)
        return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"

    def _classes(self) -> str:
        most = max(sum(counts[name] for counts in self.manifest.counts.values()) for name in self.manifest.classes)
        rows = "".join(self._class_row(name, most) for name in self.manifest.classes)
        heads = "".join(f'<th><span class="bar {split}" style="width:11px"></span> {split}</th>' for split in SPLITS)
        return f"<h2>Pictures per class</h2><table><tr><th>class</th>{heads}<th></th></tr>{rows}</table>"

    def _class_row(self, name: str, most: int) -> str:
        numbers = {split: self.manifest.counts[split][name] for split in SPLITS}
        cells = "".join(f"<td>{number:,}</td>" for number in numbers.values())
        bars = "".join(
            f'<span class="bar {split}" style="width:{100 * n / most:.2f}%"></span>' for split, n in numbers.items()
        )
        return f'<tr><td>{escape(name)}</td>{cells}<td class="bars" style="text-align:left">{bars}</td></tr>'
