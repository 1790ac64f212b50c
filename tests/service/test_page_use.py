"""How the page at ``/`` is used: every way in, every size, every trouble; in a browser, before a real service."""

import base64
import re
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Request, expect
from visiting import ALWAYS, Served, answered, by_light, choose, complaints, held

from browser import Open
from mlops_cls.bundle import Bundle
from mlops_cls.card import ModelCard
from mlops_cls.predictor import Predictor
from mlops_cls.service.app import create_app
from mlops_cls.service.routes.page import statics
from mlops_cls.service.settings import Settings
from online import online


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_can_be_dropped_and_pasted(address: str, visit: Open, pictures: list[Path], way: str) -> None:
    content = base64.b64encode(pictures[0].read_bytes()).decode()
    event = {"drop": "new DragEvent('drop', {dataTransfer, bubbles, cancelable: true})"}.get(
        way, "new ClipboardEvent('paste', {clipboardData: dataTransfer, bubbles})"
    )
    script = f"""async (content) => {{
        const blob = await (await fetch('data:image/png;base64,' + content)).blob();
        const dataTransfer = new DataTransfer(), bubbles = true;
        dataTransfer.items.add(new File([blob], 'given.png', {{type: 'image/png'}}));
        document.querySelector('#zone').dispatchEvent({event});
    }}"""
    with visit(address, policy=False) as seen:
        expect(seen.page.locator("#about h2").first).to_be_visible()
        seen.page.evaluate(script, content)
        answered(seen.page, 1)
        expect(seen.page.locator(".file")).to_contain_text("given.png")
        assert complaints(seen) == []


def test_a_clipboard_without_a_picture_is_said_to_have_none(address: str, visit: Open) -> None:
    with visit(address) as seen:
        expect(seen.page.locator("#about h2").first).to_be_visible()
        seen.page.evaluate("document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: new DataTransfer()}))")
        expect(seen.page.get_by_role("alert").first).to_contain_text("no picture in the clipboard")


@pytest.mark.parametrize("limit", ["max_bytes", "max_pixels"])
def test_what_is_too_large_is_not_even_sent(served: Served, visit: Open, pictures: list[Path], limit: str) -> None:
    sent: list[Request] = []
    with visit(served(by_light(10), settings={limit: 50})) as seen:
        seen.page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
        choose(seen.page, pictures[0])
        answered(seen.page, 1)
        expect(seen.page.locator(".failed")).to_contain_text("at most")
        assert sent == []
        assert complaints(seen) == []


def test_a_busy_service_is_waited_for(served: Served, visit: Open, pictures: list[Path]) -> None:
    free, slow = held(by_light(10))
    with visit(served(slow, settings={"queue": 1})) as seen:
        expect(seen.page.locator("#about h2").first).to_be_visible()
        free.clear()
        choose(seen.page, *pictures)
        expect(seen.page.get_by_text("The service is busy")).to_be_visible()
        free.set()
        answered(seen.page, 3)
        expect(seen.page.locator(".failed")).to_have_count(0)
        assert complaints(seen, 503) == []


def test_what_was_cancelled_can_be_tried_again(served: Served, visit: Open, pictures: list[Path]) -> None:
    free, slow = held(by_light(10))
    with visit(served(slow)) as seen:
        expect(seen.page.locator("#about h2").first).to_be_visible()
        free.clear()
        choose(seen.page, *pictures)
        seen.page.get_by_role("button", name="Cancel").click()
        answered(seen.page, 3)
        assert seen.page.locator("h3").all_text_contents() == ["!Cancelled"] * 3
        free.set()
        seen.page.get_by_role("button", name="Try night.png again").click()
        expect(seen.page.locator(".failed")).to_have_count(2)
        expect(seen.page.locator(":focus h3")).to_have_count(1)
        seen.page.locator("#again").press("Enter")
        answered(seen.page, 3)
        expect(seen.page.locator(".failed")).to_have_count(0)
        expect(seen.page.locator("#results-title")).to_be_focused()


def test_a_service_that_has_gone_is_said_to_be_gone(visit: Open, tiny_bundle: Bundle, pictures: list[Path]) -> None:
    with ExitStack() as running:
        address = running.enter_context(online(create_app(Predictor(tiny_bundle.card, by_light(10)))))
        with visit(address) as seen:
            expect(seen.page.locator("#about h2").first).to_be_visible()
            running.close()
            choose(seen.page, pictures[0])
            answered(seen.page, 1)
            expect(seen.page.locator(".failed")).to_contain_text("cannot be reached")
            expect(seen.page.get_by_role("button", name="Try night.png again")).to_be_visible()


def many_classes(card: ModelCard) -> dict[str, Any]:
    names = tuple(f"{'long-named_' * (i % 4)}class_{i}" for i in range(120))
    return {"classes": names, "calibration": replace(card.calibration, threshold=None)}


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True), (320, False)])
def test_the_page_keeps_nobody_out_in_any_of_its_states(
    served: Served, visit: Open, tiny_bundle: Bundle, pictures: list[Path], tmp_path: Path, width: int, dark: bool
) -> None:
    text = tmp_path / ("a_file_with_a_very_long_name_" * 4 + ".png")
    text.write_text("no picture at all")
    address = served(by_light(120), **many_classes(tiny_bundle.card))
    with visit(address, width=width, dark=dark, policy=False, has_touch=width < 1000) as seen:
        assert seen.page.get_by_text("Take a photograph").is_visible() is (width < 1000)

        def check() -> None:
            assert seen.sticks_out == []
            assert width < 390 or seen.barriers() == []

        expect(seen.page.locator("#about h2").first).to_be_visible()
        check()
        choose(seen.page, pictures[0])
        answered(seen.page, 1)
        seen.page.get_by_role("button", name="Show all 120 classes").click()
        expect(seen.page.locator(".bars li")).to_have_count(120)
        check()
        choose(seen.page, pictures[1], text)
        answered(seen.page, 3)
        check()
        assert complaints(seen, 400) == []


def test_abstentions_and_motion_keep_nobody_out(served: Served, visit: Open, pictures: list[Path]) -> None:
    free, slow = held(by_light(10, 0.4))
    address = served(slow, calibration=ALWAYS)
    with visit(address, policy=False, dark=True, reduced_motion="reduce") as seen:
        expect(seen.page.locator("#about h2").first).to_be_visible()
        free.clear()
        choose(seen.page, *pictures)
        expect(seen.page.get_by_text("Looking at it").first).to_be_visible()
        assert seen.page.evaluate("document.getAnimations().length") == 0
        assert seen.barriers() == []
        free.set()
        answered(seen.page, 3)
        assert seen.barriers() == []


def test_everything_can_be_done_with_the_keyboard(address: str, visit: Open, sample: Path) -> None:
    with visit(address) as seen:
        keys, focused = seen.page.keyboard, seen.page.locator(":focus")
        # Told beforehand: a browser that has not heard of it yet would open a window of its own.
        seen.page.on("filechooser", lambda chooser: chooser.set_files(sample))
        expect(seen.page.locator("#about h2").first).to_be_visible()
        keys.press("Tab")
        expect(focused).to_have_class("skip")
        keys.press("Tab")
        expect(focused).to_have_id("files")
        keys.press("Enter")
        answered(seen.page, 1)
        expect(focused).to_have_id("files")
        tab_to(seen.page, "Clear")
        keys.press("Enter")
        expect(seen.page.locator("#results")).to_be_hidden()
        expect(focused).to_have_id("files")


def tab_to(page: Page, name: str) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.locator(":focus").text_content() == name:
            return
    raise AssertionError(f"{name} cannot be reached by Tab")


def test_a_key_is_asked_for_and_goes_along(
    tiny_bundle: Bundle, visit: Open, sample: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(Predictor.load(tiny_bundle.folder), Settings.checked({"api_keys": "the-key"}))
    with online(app) as address, visit(address, policy=False) as seen:
        field = seen.page.get_by_label("API key", exact=True)
        expect(field).to_be_focused()
        assert field.get_attribute("type") == "password"
        assert seen.barriers() == []
        choose(seen.page, sample)
        expect(seen.page.get_by_text("Waits for a key")).to_be_visible()
        for key, answer in (("a key", "without spaces"), ("no-key", "none that is known here")):
            field.fill(key)
            field.press("Enter")
            expect(seen.page.locator("#key-wrong")).to_contain_text(answer)
        field.fill("the-key")
        field.press("Enter")
        answered(seen.page, 1)
        expect(seen.page.locator("#key")).to_be_hidden()
        expect(seen.page.locator("#sample-list li")).to_have_count(3)
        assert complaints(seen, 401, 403) == []
        seen.page.reload()
        answered(seen.page, 1)
        expect(seen.page.locator("#sample-list li")).to_have_count(3)
    assert "the-key" not in caplog.text


def test_without_javascript_the_form_still_sends(address: str, visit: Open, sample: Path) -> None:
    with visit(address, java_script_enabled=False) as seen:
        expect(seen.page.get_by_text("curl -F file=@picture.jpg")).to_be_visible()
        choose(seen.page, sample)
        seen.page.get_by_role("button", name="Send").click()
        seen.page.wait_for_url("**/predict")
        assert '"predictions"' in str(seen.page.locator("body").text_content())


def test_nothing_but_the_page_is_served_and_an_update_of_it_is_seen(serve: Any) -> None:
    client: AbstractContextManager[Any] = serve()
    with client as asked:
        page = asked.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["cache-control"] == "no-cache"
        assert asked.get("/", headers={"If-None-Match": page.headers["etag"]}).status_code == 304
        assert asked.get("/", headers={"If-None-Match": '"of before"'}).content == page.content
        assert asked.head("/").status_code == 200
        for part in re.findall(r'(?:href|src)="(page/[^"]+)"', page.text):
            assert asked.get(part).status_code == 200
        for other in ("/page/app.py", "/page/../app.py", "/page/%2e%2e/app.py", "/page/", "/page/__init__.py"):
            assert asked.get(other).status_code == 404


def test_the_page_needs_nothing_that_a_strict_policy_forbids() -> None:
    page = statics()["index.html"].content.decode()
    assert not re.search(r"<style|\sstyle=|<script(?! type=\"module\" src=)|\son\w+=|https?://(?!HOST:PORT)", page)
    for name, part in statics().items():
        assert name.endswith(".svg") or not re.search(
            rb"\beval\(|innerHTML|\.style\b|https?://(?!www\.w3\.org/)", part.content.replace(b"http://HOST:PORT", b"")
        ), name
