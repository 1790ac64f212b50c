"""Markdown that the pages of the reference are made of."""

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; what its cells hold is Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def block(language: str, text: str) -> str:
    """Return a block of code."""
    return f"```{language}\n{text.strip()}\n```"


def code(value: object) -> str:
    """Return a value as code, or nothing if there is none."""
    return f"`{value}`" if str(value) else ""


def heading(level: int, title: str, anchor: str) -> str:
    """Return a heading whose address stays when its title changes."""
    return f'{"#" * level} {title} {{ id="{anchor}" }}'
