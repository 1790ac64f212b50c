"""mkdocs asks this module to fill the pages of the reference, each of which marks where its tables belong."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import bundle_files
import command_helps
import service_routes
import setting_groups
import settings
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ICON = "src/mlops_cls/service/page/icon.svg"
SEARCH = 'data-md-component="search" role="dialog"'
FILLED: dict[str, Callable[[], str]] = {
    "settings": settings.described,
    "groups": setting_groups.described,
    "commands": command_helps.described,
    "service settings": service_routes.settings_table,
    "routes": service_routes.routes,
    "bodies": service_routes.bodies,
    "refusals": service_routes.refusals,
    "bundle files": bundle_files.listed,
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the icon of the service's page, which is the site's too."""
    icon = Path(config.docs_dir).parent / ICON
    files.append(File.generated(config, "assets/icon.svg", abs_src_path=str(icon)))
    return files


def on_page_markdown(markdown: str, *, files: Files, **_: object) -> str:
    """Replace each line ``<!-- filled: NAME -->`` of a page by what the code says, and name pages by their titles."""
    filled = re.sub(r"^<!-- filled: (.+) -->$", _fill, markdown, flags=re.MULTILINE)
    return re.sub(r"\[(\w+\.md)\]\((?=\1[#)])", partial(_titled, files), filled)


def on_post_page(output: str, **_: object) -> str:
    """Name what the theme leaves without a name for people who hear the page, and let empty cells be no headers."""
    named = output.replace(SEARCH, f'{SEARCH} aria-label="Search"')
    return named.replace("<th></th>", "<td></td>")


def _fill(mark: re.Match[str]) -> str:
    if mark[1] not in FILLED:
        raise PluginError(f"{mark[0]}: nothing is called {mark[1]}; there are {', '.join(FILLED)}")
    return FILLED[mark[1]]()


def _titled(files: Files, link: re.Match[str]) -> str:
    """Return ``[Serve](`` for ``[serve.md](``, as which it reads well beside the file."""
    file = files.get_file_from_path(link[1])
    return f"[{file.page.title}](" if file and file.page else link[0]
