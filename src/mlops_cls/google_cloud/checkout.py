"""The checkout that images are built from: its commit, and nothing else."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from mlops_cls.errors import ConfigError, first_few

PATIENCE = 60  # seconds


@dataclass(frozen=True, slots=True)
class Checkout:
    """A folder whose files are those of a commit, apart from those that git ignores."""

    folder: Path
    commit: str

    @classmethod
    def of(cls, folder: Path) -> "Checkout":
        """Return the checkout that a folder lies in.

        Raises:
            ConfigError: it lies in none, or files differ from the commit; the message says what to type.
        """
        try:
            top, commit = Path(_git(folder, "rev-parse", "--show-toplevel")), _git(folder, "rev-parse", "HEAD")
            changed = _git(folder, "status", "--porcelain").splitlines()
        except (OSError, subprocess.SubprocessError) as error:
            raise ConfigError(f"{folder} is no checkout of git with a commit; images are built from one") from error
        if changed:
            raise ConfigError(
                f"what is built is the commit {commit[:12]}, and these files differ from it: {first_few(changed, 5)}; "
                "git add and git commit what belongs to it, or git stash --include-untracked"
            )
        return cls(top, commit)

    def has(self, path: str) -> bool:
        """Tell whether the commit has a file."""
        return (self.folder / path).is_file()

    def pack(self, file: Path) -> None:
        """Write the commit's files as .tar.gz; what git does not track is not in it."""
        _git(self.folder, "archive", "--format=tar.gz", f"--output={file}", self.commit)


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=PATIENCE)
    return done.stdout.strip()
