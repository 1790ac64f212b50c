"""What reads and types the commands of pages: it notices what fails, and says where."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import Block, read
from stage import Failed, Stage, reader

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="commands are run in forked processes")

PAGE = """
<!-- run weekly (train): takes minutes -->
<!-- given: a bucket -->
```bash
# A comment is no command.
mlops-cls train \\
    experiment=quickstart    # nor is this
cat >file <<'END'
for
END
for i in 1 2; do
    echo $i
done
```

=== "In a tab"

    ```python
    print(1)
    ```
"""


@pytest.fixture
def stage(python: str, tmp_path: Path) -> Iterator[Stage]:
    with reader(tmp_path / "folder", python) as stage:
        yield stage


def bash(text: str, *comments: str) -> Block:
    return Block("page.md", 7, "bash", text, comments)


def test_a_block_is_read_otherwise_than_a_shell_reads_it() -> None:
    (_, first), (_, second) = read(PAGE, "page.md")
    lines = [(statement.line, statement.text.splitlines()[-1].strip()) for statement in first.statements]
    assert lines == [(6, "experiment=quickstart    # nor is this"), (8, "END"), (11, "done")]
    assert [list(statement.marks) for statement in first.statements] == [["run weekly", "given"], ["given"], ["given"]]
    assert (second.language, second.text, second.line) == ("python", "print(1)\n", 19)


@pytest.mark.parametrize("command", ["false", "false && true", "ls nowhere | cat && false", "mlops-cls trian"])
def test_a_command_that_fails_is_passed_over(stage: Stage, command: str) -> None:
    with pytest.raises(Failed, match=r"page.md:8: ended with exit code \d") as failed:
        stage.run(bash(f"true\n{command}\ntrue\n"))
    assert f"$ {command}" in str(failed.value)


def test_a_command_ends_otherwise_than_its_mark_says(stage: Stage) -> None:
    stage.run(bash("true\nmlops-cls evaluate nowhere\n", "exit 2 (evaluate): there is no such run"))
    with pytest.raises(Failed, match=r"page.md:7"):
        stage.run(bash("true\n", "exit 2: it is true"))


def test_a_reader_forgets_from_block_to_block(stage: Stage) -> None:
    stage.run(bash("export NAME=value && mkdir -p below && cd below\n"))
    stage.run(bash('test "$NAME" = value && test "${PWD##*/}" = below\n'))
    stage.run(Block("page.md", 3, "python", "from pathlib import Path\nname = Path.cwd().name\n"))
    stage.run(Block("page.md", 7, "python", "assert name == 'below'\n"))


def test_a_mistake_in_python_is_told_without_its_line(stage: Stage) -> None:
    with pytest.raises(Failed, match=r'(?s)page.md:7 failed.*page.md", line 8.*ZeroDivisionError'):
        stage.run(Block("page.md", 7, "python", "x = 0\n1 / x\n"))
