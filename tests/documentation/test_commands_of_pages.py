"""What README and docs say to type works: typed into a reader's folder, block by block, page by page."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from pages import Chapter, chapters
from situations import bring, given
from stage import reader

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="commands are run in forked processes")


@pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: chapter.name)
def test_what_a_page_says_to_type_works(
    chapter: Chapter, python: str, cooked: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    weekly = request.config.getoption("--weekly")
    if not any(statement.is_executed(weekly=weekly) for block in chapter.blocks for statement in block.statements):
        pytest.skip("the newcomer's test types it, it can only run elsewhere, or it takes minutes: pytest --weekly")
    with reader(tmp_path / "folder", python) as stage, ExitStack() as situations:
        bring(cooked, stage)
        for block in chapter.blocks:
            for name in block.situations:
                situations.enter_context(given(name, stage))
            stage.run(block, weekly=weekly)
