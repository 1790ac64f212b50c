"""The page at ``/``, in a browser, before a service that really answers."""

import base64
import csv
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import numpy as np
import pytest
from online import online
from PIL import Image
from playwright.sync_api import Page, Request, expect

from browser import Open, Visit
from mlops_cls.bundle import Bundle
from mlops_cls.card import Calibration, ModelCard
from mlops_cls.pictures import Pixels
from mlops_cls.predictor import Predictor
from mlops_cls.service.app import create_app
from mlops_cls.service.routes.page import statics
from mlops_cls.service.settings import Settings

Forward = Callable[[Pixels], tuple[np.ndarray, None]]
Served = Callable[..., str]
NEVER, ALWAYS = Calibration(temperature=1.5, threshold=None), Calibration(temperature=1.5, threshold=1.0, target=0.95)


@pytest.fixture(scope="module")
def address(tiny_bundle: Bundle) -> Iterator[str]:
    with online(create_app(Predictor.load(tiny_bundle.folder))) as started:
        yield started


@pytest.fixture
def served(tiny_bundle: Bundle) -> Iterator[Served]:
    """Return a function that starts a service with a network and a card of the test's own."""
    with ExitStack() as running:

        def start(forward: Forward, *, settings: Any = None, **card: Any) -> str:
            predictor = Predictor(replace(tiny_bundle.card, **card), forward)
            return running.enter_context(online(create_app(predictor, Settings.checked(settings or {}))))

        yield start


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Return three pictures, dark to light."""
    paths = [tmp_path / f"{name}.png" for name in ("night", "dusk", "day")]
    for level, path in zip((10, 120, 250), paths, strict=True):
        Image.new("RGB", (60, 40), (level, level, level)).save(path)
    return paths


def by_light(classes: int, confidence: float = 0.9) -> Forward:
    """Return a network that tells pictures by how light they are, and is always as sure."""

    def forward(batch: Pixels) -> tuple[np.ndarray, None]:
        best = np.minimum(batch.mean((1, 2, 3)) * classes / 256, classes - 1).astype(int)
        probabilities = np.full((len(batch), classes), (1 - confidence) / (classes - 1), np.float32)
        probabilities[np.arange(len(batch)), best] = confidence
        return probabilities, None

    return forward


def choose(page: Page, *paths: Path) -> None:
    page.locator("#files").set_input_files(list(paths))


def answered(page: Page, number: int) -> None:
    """Wait until so many pictures have been dealt with, and nothing is under way."""
    expect(page.locator("#answers > li:not(.open)")).to_have_count(number)
    expect(page.locator("#tools")).to_be_visible()


def complaints(visit: Visit, *expected: int) -> list[str]:
    """Return what the console said but for refusals by these statuses, which a browser always tells."""
    return [text for text in visit.complaints if not any(f"a status of {status}" in text for status in expected)]


def test_a_chosen_picture_is_answered_as_the_predictor_answers_it(
    address: str, visit: Open, tiny_bundle: Bundle, sample: Path
) -> None:
    found = Predictor.load(tiny_bundle.folder)(sample)
    with visit(address) as seen:
        choose(seen.page, sample)
        answered(seen.page, 1)
        first = seen.page.locator(".bars li").first
        expect(first.locator(".class")).to_have_text(found.label)
        expect(first.locator(".n")).to_have_text(f"{100 * found.confidence:.1f}\N{NARROW NO-BREAK SPACE}%")
        expect(seen.page.locator(".bars li")).to_have_count(10)
        expect(seen.page.locator("#said")).to_contain_text(sample.name)
        assert seen.page.locator("img.thumb").evaluate("e => e.naturalWidth") == tiny_bundle.card.preprocess.size
        assert complaints(seen) == [] == seen.requests


def test_the_page_says_whose_answers_these_are(address: str, visit: Open, tiny_bundle: Bundle) -> None:
    card = tiny_bundle.card
    low, high = card.intervals["test/accuracy"]
    with visit(address) as seen:
        about = seen.page.locator("#about")
        expect(seen.page.get_by_role("heading", level=1)).to_have_text(card.title)
        expect(about).to_contain_text(card.digest)
        expect(about).to_contain_text(f"{100 * card.scores['test/accuracy']:.1f}")
        expect(about).to_contain_text(f"{100 * low:.1f} to {100 * high:.1f}")
        assert about.locator(".classes li").all_text_contents() == list(card.classes)
        assert about.get_by_role("link").get_attribute("href") == "docs"


def test_several_are_answered_each_for_itself(
    served: Served, visit: Open, pictures: list[Path], tmp_path: Path
) -> None:
    text = tmp_path / "notes.png"
    text.write_text("no picture at all")
    with visit(served(by_light(3), classes=("dark", "grey", "light"), calibration=NEVER)) as seen:
        choose(seen.page, *pictures, text)
        answered(seen.page, 4)
        assert seen.page.locator("h3").all_text_contents() == ["dark", "grey", "light", "!No answer"]
        expect(seen.page.locator(".failed")).to_contain_text("not a picture")
        expect(seen.page.locator("#said")).to_have_text("4 pictures done: 3 answered, 1 without an answer.")
        seen.page.get_by_role("button", name="No answer (1)").click()
        expect(seen.page.locator("#answers > li:visible")).to_have_count(1)
        assert complaints(seen, 400) == []


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
    free, quick = Event(), by_light(10)
    free.set()

    def slow(batch: Pixels) -> tuple[np.ndarray, None]:
        free.wait(60)
        return quick(batch)

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
    free, quick = Event(), by_light(10)

    def slow(batch: Pixels) -> tuple[np.ndarray, None]:
        free.wait(60)
        return quick(batch)

    free.set()
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


def test_answers_of_another_model_are_told_from_those_of_this_one(
    visit: Open, tiny_bundle: Bundle, pictures: list[Path]
) -> None:
    old, new = (replace(tiny_bundle.card, calibration=calibration) for calibration in (NEVER, ALWAYS))
    with ExitStack() as running:
        address = running.enter_context(online(create_app(Predictor(old, by_light(10)))))
        with visit(address) as seen:
            choose(seen.page, pictures[0])
            answered(seen.page, 1)
            running.close()
            port = int(address.rstrip("/").rpartition(":")[2])
            running.enter_context(online(create_app(Predictor(new, by_light(10))), port))
            choose(seen.page, pictures[1])
            answered(seen.page, 2)
            expect(seen.page.locator("#about")).to_contain_text(new.digest)
            assert seen.page.locator("h3").all_text_contents() == ["?Not sure enough", "0"]
            expect(seen.page.locator("#answers > li").last).to_contain_text(
                f"another version of the model, {old.digest}"
            )
            expect(seen.page.locator("#answers > li").first).not_to_contain_text("another version")


def test_an_abstention_asks_to_look_and_shows_the_best_guesses(
    served: Served, visit: Open, pictures: list[Path], tiny_bundle: Bundle
) -> None:
    attributes = {"is_cancer": {name: name == "0" for name in tiny_bundle.card.classes}}
    with visit(served(by_light(10, 0.4), calibration=ALWAYS, attributes=attributes)) as seen:
        choose(seen.page, pictures[0])
        answered(seen.page, 1)
        card = seen.page.locator("#answers > li")
        expect(card.get_by_role("heading")).to_contain_text("Not sure enough")
        expect(card).to_contain_text("Look at it yourself.")
        expect(card).to_contain_text("The best guess is 0, 40")
        expect(card.locator(".chips")).to_have_text("Cancer: not sure 40.0\N{NARROW NO-BREAK SPACE}% for yes")
        expect(card.locator(".mark")).to_have_count(1)


@pytest.mark.parametrize(
    ("temperature", "error", "said"),
    [(1.5, 0.02, "About 90 of 100 answers"), (1.5, 0.2, "off by 20 points"), (1.0, None, "nobody checked")],
)
def test_confidence_is_a_promise_only_where_the_test_pictures_have_shown_that_it_is_kept(
    served: Served, visit: Open, pictures: list[Path], temperature: float, error: float | None, said: str
) -> None:
    scores = {"test/accuracy": 0.9} | ({} if error is None else {"test/ece": error})
    with visit(served(by_light(10), calibration=Calibration(temperature=temperature), scores=scores)) as seen:
        choose(seen.page, pictures[0])
        answered(seen.page, 1)
        expect(seen.page.locator(".worth")).to_contain_text(said)


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
    free, quick = Event(), by_light(10, 0.4)
    free.set()

    def slow(batch: Pixels) -> tuple[np.ndarray, None]:
        free.wait(60)
        return quick(batch)

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


def test_answers_survive_a_reload_until_they_are_cleared(address: str, visit: Open, sample: Path) -> None:
    with visit(address) as seen:
        choose(seen.page, sample)
        answered(seen.page, 1)
        heading = seen.page.locator("h3").text_content()
        seen.page.reload()
        answered(seen.page, 1)
        expect(seen.page.locator("h3")).to_have_text(str(heading))
        seen.page.get_by_role("button", name="Clear").click()
        seen.page.reload()
        expect(seen.page.locator("#about h2").first).to_be_visible()
        expect(seen.page.locator("#answers > li")).to_have_count(0)


def test_answers_can_be_taken_along_as_tables_and_json(
    served: Served, visit: Open, pictures: list[Path], tmp_path: Path
) -> None:
    formula = pictures[0].rename(tmp_path / "=1+1.png")
    attributes = {"group": {str(number): "a,b" for number in range(10)}}
    with visit(served(by_light(10), attributes=attributes, calibration=NEVER)) as seen:
        choose(seen.page, formula, pictures[2])
        answered(seen.page, 2)
        (first, second), entries = table(seen.page), downloaded(seen.page, "Download JSON")
    assert (first["file"], first["label"], first["confidence"], first["group"]) == ("'=1+1.png", "0", "0.900000", "a,b")
    assert (second["file"], second["label"], second["abstains"]) == ("day.png", "9", "false")
    assert [entry["id"] for entry in json.loads(entries)["answers"]] == [first["id"], second["id"]]


def table(page: Page) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(downloaded(page, "Download CSV"))))


def downloaded(page: Page, name: str) -> str:
    with page.expect_download() as download:
        page.get_by_role("button", name=name).click()
    return Path(download.value.path()).read_text(encoding="utf-8")


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


def test_a_sample_is_answered_beside_the_truth(address: str, visit: Open, tiny_bundle: Bundle) -> None:
    with visit(address) as seen:
        seen.page.get_by_role("button", name="Classify sample 1").click()
        answered(seen.page, 1)
        found = Predictor.load(tiny_bundle.folder)(tiny_bundle.samples[1]["file"])
        truth = tiny_bundle.samples[1]["label"]
        said = "ight." if truth == found.label else f"rong: it is {truth}"
        expect(seen.page.locator(".truth")).to_contain_text(said)
        expect(seen.page.locator(".bars .class").first).to_have_text(found.label)
        assert complaints(seen) == [] == seen.requests


def test_feedback_is_asked_for_where_it_is_kept(tiny_bundle: Bundle, visit: Open, sample: Path, tmp_path: Path) -> None:
    settings = Settings.checked({"collect": "metadata", "collect_to": str(tmp_path / "kept")})
    app = create_app(Predictor.load(tiny_bundle.folder), settings)
    with online(app) as address, visit(address, policy=False) as seen:
        expect(seen.page.locator("#limits")).to_contain_text("keeps its answers")
        choose(seen.page, sample)
        seen.page.get_by_role("button", name="No", exact=True).click()
        box = seen.page.get_by_label("What is it?")
        expect(box).to_be_focused()
        box.select_option(index=3)
        said = str(box.input_value())
        assert seen.barriers() == []
        seen.page.get_by_role("button", name="Send").last.click()
        expect(seen.page.get_by_text(f"Noted as {said}.")).to_be_visible()
        expect(seen.page.get_by_role("button", name="Change")).to_be_focused()
        seen.page.reload()
        expect(seen.page.get_by_text(f"Noted as {said}.")).to_be_visible()
    (told,) = (tmp_path / "kept").rglob("feedback-*.jsonl")
    assert json.loads(told.read_text())["label"] == said


def test_drift_is_told_before_anybody_trusts_an_answer(tiny_bundle: Bundle, visit: Open) -> None:
    app = create_app(Predictor.load(tiny_bundle.folder), Settings.checked({"window": 100}))
    black = io.BytesIO()
    Image.new("L", (16, 16)).save(black, "PNG")
    with online(app) as address, httpx.Client(base_url=address) as client:
        with visit(address) as seen:
            expect(seen.page.locator("#about h2").first).to_be_visible()
            expect(seen.page.locator("#drift")).to_be_hidden()
        for _ in range(120):
            assert client.post("predict", files={"file": black.getvalue()}).status_code == 200
        for _ in range(600):
            if client.get("monitoring").json()["drift"]:
                break
            time.sleep(0.05)
        with visit(address, policy=False) as seen:
            expect(seen.page.locator("#drift")).to_contain_text("other pictures than it was tested on")
            assert seen.barriers() == []


def test_names_of_classes_and_files_are_never_markup(served: Served, visit: Open, tmp_path: Path) -> None:
    trap = "<img src=x onerror=alert(1)>"
    picture = tmp_path / f"{trap}.png"
    Image.new("L", (20, 20)).save(picture)
    with visit(served(by_light(2), classes=(trap, "plain"), calibration=NEVER)) as seen:
        choose(seen.page, picture)
        answered(seen.page, 1)
        expect(seen.page.locator("h3")).to_have_text(trap)
        assert complaints(seen) == [] == seen.requests


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
