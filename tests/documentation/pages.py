"""What README and docs tell a reader to type: blocks of commands, and the marks in HTML comments before them.

Marks stand on the lines before their block. `KIND (TEXT): WORDS` is about the commands with TEXT in them; of two marks
about the same command the later one holds.

    <!-- not run: REASON -->        never executed; that it would start is checked
    <!-- run weekly: REASON -->     executed by `pytest --weekly`
    <!-- run as a newcomer -->      executed by the test that starts from a fresh clone
    <!-- run with: WORDS -->        executed in every test run too, with these words added, such as trainer=rehearsal
    <!-- given: NAME -->            something is prepared before the block: a name of `situations.py`
    <!-- exit CODE: REASON -->      this is the exit code of a command of the block
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from commands import statements
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
EXECUTED = ("bash", "python")
SHOWN = ("css", "dockerfile", "html", "ini", "json", "makefile", "mermaid", "promql", "text", "toml", "yaml")
"""Languages that nobody types into a terminal."""
COMMENT = re.compile(r"<!--\s*(.*?)\s*-->", re.DOTALL)
MARK = re.compile(
    r"(not run|run weekly|run as a newcomer|run with|given|exit \d+)(?: \(([^)]+)\))?(?::\s+(.+))?", re.DOTALL
)


@dataclass(frozen=True)
class Mark:
    """What a comment says of a block, or of its commands that have `only` in them."""

    kind: str
    only: str
    words: str


@dataclass(frozen=True)
class Statement:
    """A command of a page, or a whole block of Python, and what is said of it."""

    line: int
    text: str
    marks: dict[str, str]

    @property
    def is_literal(self) -> bool:
        """Return whether it is executed as it stands, in every test run."""
        return not {"not run", "run weekly", "run as a newcomer"} & self.marks.keys()

    def is_executed(self, *, weekly: bool) -> bool:
        """Return whether it is executed by its chapter's test; the newcomer's has those of its own."""
        return self.is_literal or (weekly and "run weekly" in self.marks) or "run with" in self.marks

    def added(self, *, weekly: bool) -> str:
        """Return what is added to it, which is nothing where it can be executed as it stands."""
        return "" if self.is_literal or (weekly and "run weekly" in self.marks) else self.marks["run with"]

    @property
    def exit_codes(self) -> set[int]:
        return {int(kind.split()[1]) for kind in self.marks if kind.startswith("exit ")} or {0}


@dataclass(frozen=True)
class Block:
    """A block of code: where it stands (`line` is its first line, from 1) and what it says."""

    page: str
    line: int
    language: str
    text: str
    comments: tuple[str, ...] = ()
    """Of HTML, right before it."""

    @property
    def marks(self) -> list[Mark]:
        return [Mark(*found.groups(default="")) for text in self.comments if (found := MARK.fullmatch(text))]

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @cached_property
    def statements(self) -> list[Statement]:
        """Return its commands, each with the marks that are about it."""
        found = [(self.line, self.text)] if self.language == "python" else statements(self.text, self.line)
        return [
            Statement(line, text, _settled(mark for mark in self.marks if mark.only in text)) for line, text in found
        ]

    @property
    def situations(self) -> list[str]:
        return [mark.words for mark in self.marks if mark.kind == "given"]


def _settled(marks: Iterable[Mark]) -> dict[str, str]:
    """Return what the marks come to: a later one holds before an earlier one of its kind, or that says the opposite."""
    settled: dict[str, str] = {}
    for mark in marks:
        if mark.kind == "not run":
            settled = {kind: words for kind, words in settled.items() if not kind.startswith("run ")}
        settled[mark.kind] = mark.words
    return settled


@dataclass(frozen=True)
class Chapter:
    """What a reader goes through in one sitting: a page, or one section of the README."""

    name: str
    blocks: tuple[Block, ...]


def pages() -> list[Path]:
    """Return README and all pages."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def chapters() -> list[Chapter]:
    """Return what has blocks of commands."""
    return [chapter for page in pages() for chapter in _chapters_of(page)]


def _chapters_of(page: Path) -> Iterator[Chapter]:
    # Nobody reads the README's sections one after another, and each starts with what the top makes.
    name = page.relative_to(ROOT).as_posix()
    sections: dict[str, list[Block]] = {}
    for title, block in read(page.read_text(), name):
        if block.language in EXECUTED:
            sections.setdefault(f"{name}: {title}" if name == "README.md" else name, []).append(block)
    return (Chapter(title, tuple(blocks)) for title, blocks in sections.items())


def read(text: str, page: str, first_line: int = 1) -> Iterator[tuple[str, Block]]:
    """Return every block of a page in Markdown, each after the title of its section; `indented` is a language too."""
    title, comments = "top", list[str]()
    tokens = MarkdownIt().parse(text)
    for before, token in zip([None, *tokens], tokens, strict=False):
        line = first_line + (token.map[0] if token.map else 0)
        if before is not None and before.type == "heading_open" and before.tag == "h2":
            title = token.content
        if token.type == "fence":
            yield title, Block(page, line + 1, token.info.split(" ")[0].strip(), token.content, tuple(comments))
        elif token.type == "code_block" and "```" in token.content:
            yield from read(
                token.content, page, line
            )  # other kinds of Markdown have tabs and notes, with blocks in them
        elif token.type == "code_block":
            yield title, Block(page, line, "indented", token.content)
        comments = [*comments, *COMMENT.findall(token.content)] if token.type == "html_block" else []
