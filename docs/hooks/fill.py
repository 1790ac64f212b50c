"""mkdocs asks this module to fill those pages whose tables are made from the code."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ICON = "src/mlops_cls/service/page/icon.svg"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the service's own icon, which is the site's too."""
    root = Path(config.docs_dir).parent
    files.append(File.generated(config, "assets/icon.svg", abs_src_path=str(root / ICON)))
    return files
