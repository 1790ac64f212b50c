"""report.html, as text and in a browser."""

from pathlib import Path

import pytest

from browser import Open
from mlops_cls.report.page import Subject, write_report


@pytest.fixture(scope="module")
def page(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(path, subject)
    return path


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_report_opens_without_complaints_or_requests(page: Path, visit: Open, width: int, dark: bool) -> None:
    with visit(page, width=width, dark=dark) as seen:
        assert seen.complaints == []
        assert seen.requests == []
        assert seen.sticks_out == []
    with visit(page, width=width, dark=dark, policy=False) as seen:
        assert seen.barriers() == []
