"""The site: built without a warning, its reference whole, and fit to be visited."""

import re
from dataclasses import fields, is_dataclass
from html import unescape
from pathlib import Path

import pytest
from built import Site

import mlops_cls as mc
from browser import Open
from mlops_cls import cli, cloud, drift, publish, reproduce
from mlops_cls.compose import load_config
from mlops_cls.config import Config
from mlops_cls.service.app import create_app
from mlops_cls.service.problems import KINDS
from mlops_cls.service.settings import Settings, variable

ROOT = Path(__file__).parents[2]


def anchors(html: str) -> set[str]:
    return set(map(unescape, re.findall(r'id="([^"]+)"', html)))


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def test_a_link_an_anchor_or_the_place_of_a_page_is_wrong(site: Site) -> None:
    assert site.said == ""


def test_a_setting_is_not_in_the_reference(site: Site) -> None:
    config = Config()
    sections = {each.name: getattr(config, each.name) for each in fields(config)}
    keys = [f"{name}.{key.name}" for name, value in sections.items() if is_dataclass(value) for key in fields(value)]
    assert len(keys) >= 90
    assert {"seed", *sections, *keys} <= anchors(site.page("settings"))


def test_the_reference_says_something_else_than_the_schema(site: Site) -> None:
    text = words(site.page("settings"))
    for said in (
        "optim.lr ¶ number, above 0; default 0.001 Highest learning rate of the schedule.",
        "trainer.monitor ¶ loss , accuracy , balanced_accuracy , macro_f1 ; default loss The val score",
        "runtime.batch_size ¶ whole number or text; default null Pictures on a device at once;",
        "augment.transforms ¶ list of mappings; default [] albumentations by name",
    ):
        assert said in text


def test_a_setting_has_another_default_than_the_reference_says() -> None:
    assert load_config() == Config()


def test_a_file_of_settings_is_not_in_the_reference(site: Site) -> None:
    files = {f"{path.parent.name}-{path.stem}" for path in (ROOT / "configs").glob("*/*.yaml")}
    assert {name for name in files if not name.startswith("sweeps-")} <= anchors(site.page("configs"))


def test_a_public_name_is_not_in_the_reference(site: Site) -> None:
    assert {f"mlops_cls.{name}" for name in mc.__all__} <= anchors(site.page("python"))


def test_a_verb_is_not_in_the_reference(site: Site) -> None:
    html = site.page("commands")
    assert {*cli.VERBS, *(f"cloud-{verb}" for verb in cloud.VERBS)} <= anchors(html)
    assert "--if-better" in words(html)
    assert "unfreeze_epoch" not in words(html)


def test_an_exit_code_is_another_than_the_reference_says() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", page, flags=re.MULTILINE)
    assert [(int(code), of) for code, of in rows] == [
        (0, "all"),
        (1, "all"),
        (cli.EXIT_ERROR, "all"),
        (drift.DRIFT, "`drift`"),
        (publish.EXIT_NOT_BETTER, "`publish --if-better`"),
        (reproduce.EXIT_DIFFERS, "`reproduce`"),
        (drift.TOO_FEW, "`drift`"),
        (cli.Interrupted.exit_code, "`train`, `sweep`, `serve`"),
        (cli.EXIT_INTERRUPTED, "the others"),
        (cli.EXIT_UNREAD, "all"),
    ]


def test_a_route_a_code_or_a_setting_of_the_service_is_not_in_the_reference(site: Site) -> None:
    html = site.page("http")
    routes = create_app().openapi()["paths"].values()
    assert {route["operationId"] for methods in routes for route in methods.values()} <= anchors(html)
    assert {*KINDS, *map(variable, Settings.model_fields)} <= set(words(html).split())


def test_a_file_of_a_run_or_a_bundle_is_not_in_the_reference(site: Site, tiny_run: mc.Run) -> None:
    text = words(site.page("files"))
    files = [path.relative_to(tiny_run.folder).as_posix() for path in tiny_run.folder.rglob("*") if path.is_file()]
    assert [name for name in files if name not in text and not name.startswith(("bundle/", "."))] == []
    assert "model.onnx" in text


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("page", ["", "settings/", "serve/"])
def test_a_page_complains_asks_another_host_sticks_out_or_keeps_people_out(
    address: str, visit: Open, page: str, width: int
) -> None:
    with visit(address + page, width=width, dark=width == 390) as visited:
        visited.page.wait_for_load_state("networkidle")
        assert visited.complaints == []
        assert visited.requests == []
        assert visited.sticks_out == []
        assert visited.barriers() == []


def test_search_finds_no_setting(address: str, visit: Open) -> None:
    with visit(address) as visited:
        box = visited.page.get_by_role("textbox", name="Search")
        box.click()
        box.press_sequentially("layer_decay")
        visited.page.locator(".md-search-result__link[href$='#optim.layer_decay']").click()
        assert visited.page.url.endswith("#optim.layer_decay")
        assert visited.requests == []
