"""The pages as a site, and what was said while they were built."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Site:
    """The built pages, and what was said while they were built."""

    folder: Path
    said: str

    def page(self, name: str) -> str:
        """Return the HTML of `docs/NAME.md`."""
        place = "index.html" if name == "index" else f"{name}/index.html"
        return (self.folder / place).read_text(encoding="utf-8")


def build(folder: Path) -> str:
    """Build the site and return what was wrong. Not with `--quiet`: mkdocs would count no warnings, strict or not."""
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    silent = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(line, cwd=ROOT, env=silent, capture_output=True, text=True, check=False, timeout=300)
    said = [line for line in f"{done.stdout}{done.stderr}".splitlines() if line and not line.startswith("INFO ")]
    return "\n".join(said + [f"exit code {done.returncode}"] * (done.returncode != 0))
