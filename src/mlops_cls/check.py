"""Look for faults of a data set before they cost a model: ``python -m mlops_cls.check experiment=quickstart``."""

import argparse
import textwrap
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_cls.atomic import write_text
from mlops_cls.cli import run_verb
from mlops_cls.errors import DataError

if TYPE_CHECKING:
    from mlops_cls.config import Config
    from mlops_cls.data.doctor.findings import Finding
    from mlops_cls.data.store import Prepared

USAGE = """Find leaks between splits, copies, contradicting labels, shortcuts and bad files.
Exits with 2 where training would refuse the data.

  python -m mlops_cls.check experiment=quickstart
  python -m mlops_cls.check data=folder data.root=my_pictures
  python -m mlops_cls.check data=folder data.root=my_pictures --markdown data.md

--markdown FILE writes pictures per class and split, and all findings, as text to show below a change of the data."""


def main(arguments: list[str]) -> None:
    """Check the data that the command line asks for, and say what is wrong with them."""
    options, overrides = _own_options().parse_known_args(arguments)
    if options.markdown is not None and not options.markdown.absolute().parent.is_dir():
        raise DataError(f"--markdown {options.markdown}: the folder {options.markdown.parent} does not exist")
    from mlops_cls.compose import run_with_config

    told: list[str] = []
    check = partial(_check, told)
    run_with_config(check, "mlops_cls.check", overrides, usage=USAGE, at_end=lambda _: _write(options.markdown, told))


def _check(told: list[str], config: "Config") -> None:
    from mlops_cls.build import check, make_datamodule, read_start
    from mlops_cls.choices import BadPictures, CheckPolicy
    from mlops_cls.data.doctor.markdown import summarise

    check(config)
    wanted = read_start(config.model).wanted
    # First all there is to say, however bad; then the refusal that training would meet.
    lenient = replace(config.data, on_bad=BadPictures.skip, check=CheckPolicy.off)
    prepared = make_datamodule(replace(config, data=lenient), wanted).prepared
    told.append(summarise(prepared))
    _print(prepared)
    make_datamodule(config, wanted).prepare_data()


def _write(markdown: Path | None, told: list[str]) -> None:
    # Of data that training refuses too: what is wrong with them is what the reader waits for.
    if markdown is not None and told:
        write_text(markdown, "\n".join(told))


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


def _own_options() -> argparse.ArgumentParser:
    # All else is Hydra's, and so is --help.
    parser = argparse.ArgumentParser(prog="python -m mlops_cls.check", add_help=False, allow_abbrev=False)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="counts and findings, to show below a change")
    return parser


if __name__ == "__main__":
    run_verb(main)
