"""What the page at ``/`` says of pictures, in a browser, before a service that really answers."""

import csv
import io
import json
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from visiting import ALWAYS, NEVER, Served, answered, by_light, choose, complaints

from browser import Open
from mlops_cls.bundle import Bundle
from mlops_cls.card import Calibration
from mlops_cls.predictor import Predictor
from mlops_cls.service.app import create_app
from mlops_cls.service.settings import Settings
from online import online


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


def test_answers_survive_a_reload_until_they_are_cleared(
    address: str, visit: Open, sample: Path, pictures: list[Path]
) -> None:
    with visit(address) as seen:
        choose(seen.page, *pictures)
        answered(seen.page, 3)
        choose(seen.page, sample)
        answered(seen.page, 4)
        said = seen.page.locator(".said").all_text_contents()
        assert [text[:3] for text in said] == [sample.name[:3], "nig", "dus", "day"]
        seen.page.reload()
        answered(seen.page, 4)
        assert seen.page.locator(".said").all_text_contents() == said
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


def test_names_of_classes_and_files_are_never_markup(served: Served, visit: Open, tmp_path: Path) -> None:
    trap = "<img src=x onerror=alert(1)>"
    picture = tmp_path / f"{trap}.png"
    Image.new("L", (20, 20)).save(picture)
    with visit(served(by_light(2), classes=(trap, "plain"), calibration=NEVER)) as seen:
        choose(seen.page, picture)
        answered(seen.page, 1)
        expect(seen.page.locator("h3")).to_have_text(trap)
        assert complaints(seen) == [] == seen.requests
