"""A real browser for the pages that we make: Debian's Chromium, which hears of this machine only."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(slots=True)
class Visit:
    """An open page, what its console said, and the addresses beyond its own that it asked for (and did not get)."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def sticks_out(self) -> list[str]:
        """Return what makes the page scroll sideways."""
        found: list[str] = self.page.evaluate(
            """() => document.documentElement.scrollWidth <= innerWidth ? [] : [
              `${document.documentElement.scrollWidth} of ${innerWidth} pixels`,
              ...[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)
                .map(e => e.outerHTML.slice(0, 120))]"""
        )
        return found

    def barriers(self) -> list[str]:
        """Return what axe-core finds that keeps people out, by rule and place."""
        answer = Axe().run(self.page).response
        return [f"{found['id']}: {node['html'][:150]}" for found in answer["violations"] for node in found["nodes"]]


Open = Callable[..., AbstractContextManager[Visit]]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Return a browser; of a module, as pytest is not to run within Playwright's event loop for longer."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def visit(chromium: Browser) -> Open:
    """Return a function that opens a file or an address: ``with visit(path, width=390, dark=True) as visit:``.

    What else it is given is of the browser, such as ``has_touch=True`` or ``java_script_enabled=False``.
    """

    @contextmanager
    def opened(
        address: Path | str, *, width: int = 1280, dark: bool = False, policy: bool = True, **kind: Any
    ) -> Iterator[Visit]:
        url = address.resolve().as_uri() if isinstance(address, Path) else address
        host = url if isinstance(address, Path) else urljoin(url, "/")
        scheme = "dark" if dark else "light"
        size = {"width": width, "height": 900}
        # The scan for barriers brings a script along, which the policy of a page may forbid.
        context = chromium.new_context(viewport=size, color_scheme=scheme, bypass_csp=not policy, **kind)  # type: ignore[arg-type]
        visit = Visit(context.new_page())

        def pass_or_refuse(route: Route) -> None:
            own = route.request.url.startswith((host, "data:"))
            if not own:
                visit.requests.append(route.request.url)
            route.continue_() if own else route.abort()

        context.route("**", pass_or_refuse)
        visit.page.on("console", lambda message: visit.complaints.append(message.text))
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        visit.page.goto(url)
        yield visit
        context.close()

    return opened
