"""The statements of a block of bash, and the programs that each of them calls."""

import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

OPERATORS = {"&&", "||", "|", "&", ";", "(", ")", "|&", ";;"}
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
UV_OPTIONS_WITH_VALUE = ("--with", "--group", "--extra", "--no-group", "--python", "-p")


@dataclass(frozen=True)
class Call:
    """A program and the words that it is given, without redirections."""

    program: str
    words: tuple[str, ...]

    @property
    def verb(self) -> str | None:
        """Return the verb of ours that is called."""
        if self.program == "mlops-cls":
            return self.words[0] if self.words else None
        module = re.fullmatch(r"-m mlops_cls\.(\w+)", " ".join(self.words[:2]))
        return module[1] if module and self.program in ("python", "python3", "torchrun") else None

    @property
    def rest(self) -> list[str]:
        """Return what the verb is given."""
        return list(self.words[1 if self.program == "mlops-cls" else 2 :])


def statements(text: str, first_line: int) -> Iterator[tuple[int, str]]:
    """Return each statement with its line: as many lines as bash needs to understand it; comments alone are none."""
    held: list[str] = []
    for number, line in enumerate(text.splitlines(), first_line):
        if not held and (not line.strip() or line.lstrip().startswith("#")):
            continue
        held.append(line)
        if not line.endswith("\\") and _is_whole("\n".join(held)):
            yield number - len(held) + 1, "\n".join(held)
            held = []
    if held:
        raise ValueError("bash does not understand: " + "\n".join(held))


@cache
def _is_whole(text: str) -> bool:
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    return done.returncode == 0 and not done.stderr  # it only warns of a here-document without an end


def calls(statement: str) -> list[Call]:
    """Return what a statement calls, what `uv run` runs in place of it."""
    lexer = shlex.shlex(statement.replace("\\\n", " "), posix=True, punctuation_chars=True)
    lexer.commenters, lexer.whitespace_split = "#", True
    found: list[list[str]] = [[]]
    for word in lexer:
        if word in OPERATORS:
            found.append([])
        else:
            found[-1].append(word)
    return [Call(words[0], tuple(words[1:])) for words in map(_without_wrapping, found) if words]


def _without_wrapping(words: Sequence[str]) -> list[str]:
    left = list(_without_redirections(words))
    while left and ASSIGNMENT.fullmatch(left[0]):
        del left[0]
    if left[:2] == ["uv", "run"]:
        left = left[2:]
        while left and left[0].startswith("-"):
            del left[: 2 if left[0] in UV_OPTIONS_WITH_VALUE else 1]
    return left


def _without_redirections(words: Sequence[str]) -> Iterator[str]:
    skip = False
    for word in words:
        if skip:
            skip = False
        elif re.fullmatch(r"[<>]+&?", word):
            skip = True
        else:
            yield word
