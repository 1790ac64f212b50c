"""Look for faults of a data set before they cost a model: ``python -m mlops_cls.check experiment=quickstart``."""

import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

from mlops_cls.cli import run_verb

if TYPE_CHECKING:
    from mlops_cls.config import Config
    from mlops_cls.data.doctor.findings import Finding
    from mlops_cls.data.store import Prepared

USAGE = """Find leaks between splits, copies, contradicting labels, shortcuts and bad files.
Exits with 2 where training would refuse the data.

  python -m mlops_cls.check experiment=quickstart
  python -m mlops_cls.check data=folder data.root=my_pictures"""


def main(arguments: list[str]) -> None:
    """Check the data that the command line asks for, and say what is wrong with them."""
    from mlops_cls.compose import run_with_config

    run_with_config(_check, "mlops_cls.check", arguments, usage=USAGE)


def _check(config: "Config") -> None:
    from mlops_cls.build import check, make_datamodule, read_start
    from mlops_cls.choices import BadPictures, CheckPolicy

    check(config)
    wanted = read_start(config.model).wanted
    # First all there is to say, however bad; then the refusal that training would meet.
    lenient = replace(config.data, on_bad=BadPictures.skip, check=CheckPolicy.off)
    _print(make_datamodule(replace(config, data=lenient), wanted).prepared)
    make_datamodule(config, wanted).prepare_data()


def _print(prepared: "Prepared") -> None:
    from mlops_cls.data.doctor.findings import FILE, Report
    from mlops_cls.data.doctor.page import FILE as PAGE

    report = Report.load(prepared.folder)
    for finding in report.findings:
        print(_describe(finding))
    numbers = ", ".join(f"{number} {severity}" for severity, number in report.summary().items())
    print(f"{prepared.manifest.source}, {len(prepared.table):,} pictures: {numbers}")
    print(f"with pictures: {prepared.folder / PAGE}\nas JSON: {prepared.folder / FILE}")


def _describe(finding: "Finding") -> str:
    first = f"{finding.severity.value}  {finding.title}"
    return f"{first}\n{textwrap.indent(finding.cure, ' ' * 6)}"


if __name__ == "__main__":
    run_verb(main)
