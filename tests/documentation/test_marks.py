"""No command of README and docs goes unseen: each is executed, or says why not and would start."""

from collections.abc import Iterable

import pytest
from pages import COMMENT, EXECUTED, MARK, ROOT, SHOWN, Block, Statement, pages, read
from situations import SITUATIONS
from valid import check_command, check_python

BLOCKS = [block for page in pages() for _, block in read(page.read_text(), page.relative_to(ROOT).as_posix())]
PROGRAMS = ("uv", "python", "mlops-cls", "curl", "pip", "docker", "gcloud", "dvc", "make", "git", "wandb")
HELD_BACK = [
    (block, statement)
    for block in BLOCKS
    if block.language in EXECUTED
    for statement in block.statements
    if not statement.is_literal
]


def test_a_block_is_neither_a_command_nor_something_to_look_at() -> None:
    """Say bash or python of what is typed, text of output."""
    languages = (*EXECUTED, *SHOWN, "indented")
    assert {block.place: block.language for block in BLOCKS if block.language not in languages} == {}


def test_a_comment_before_a_block_is_no_mark() -> None:
    wrong = [f"{block.place}: {text}" for block in BLOCKS for text in block.comments if not MARK.fullmatch(text)]
    assert wrong == []


def test_a_mark_is_before_no_block() -> None:
    def marks(texts: Iterable[str]) -> int:
        return sum(bool(MARK.fullmatch(comment)) for text in texts for comment in COMMENT.findall(text))

    assert marks(page.read_text() for page in pages()) - marks(block.text for block in BLOCKS) == sum(
        len(block.marks) for block in BLOCKS
    )


def test_a_mark_gives_no_reason_or_is_about_nothing() -> None:
    for block in BLOCKS:
        for mark in block.marks:
            told = f"{block.place}: {mark}"
            assert mark.only in block.text, f"{told}: no command has {mark.only} in it"
            assert bool(mark.words) == (mark.kind != "run as a newcomer"), f"{told}: say why"
            assert mark.kind != "given" or mark.words in SITUATIONS, f"{told}: situations are {sorted(SITUATIONS)}"


def test_a_command_hides_in_an_indented_block() -> None:
    lines = [
        (block.place, line) for block in BLOCKS if block.language == "indented" for line in block.text.splitlines()
    ]
    assert [(place, line) for place, line in lines if line.split(" ")[0] in PROGRAMS or line.startswith("clf = ")] == []


@pytest.mark.parametrize(("block", "statement"), HELD_BACK, ids=[f"{b.page}:{s.line}" for b, s in HELD_BACK])
def test_a_command_that_is_not_run_would_start(block: Block, statement: Statement) -> None:
    if block.language == "python":
        check_python(statement.text)
    else:
        check_command(statement.text)
