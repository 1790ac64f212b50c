"""Data sets and networks that another installed package brings."""

from collections.abc import Callable
from pathlib import Path

import pytest
from timm.models import register_model
from torch import nn

import mlops_cls as mc
from mlops_cls.card import Architecture
from mlops_cls.models.networks import make_network, pretrained_preprocess

CODE = '''
from pathlib import Path

from timm.models import register_model
from torch import nn

import mlops_cls as mc


class Stripes:
    """Picture files in one folder, which begin with their class."""

    name, classes, attributes = "stripes", ("red", "green"), {}

    def __init__(self, root):
        self.root = Path(root)

    def fingerprint(self):
        return "1"

    def samples(self):
        return [mc.Sample(path.name, path.parent.name) for path in sorted(self.root.glob("*/*.png"))]

    def picture(self, sample):
        return self.root / sample.label / sample.id


class TinyNet(nn.Module):
    def __init__(self, in_chans, num_classes, width=4):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(in_chans, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(width, num_classes)

    def forward(self, images):
        return self.head(self.body(images))

    def get_classifier(self):
        return self.head


@register_model
def tiny_net(pretrained=False, pretrained_cfg=None, pretrained_cfg_overlay=None, cache_dir=None, **kwargs):
    return TinyNet(**kwargs)
'''
ENTRY_POINTS = """
[mlops_cls.data]
stripes = stripes_of_others:Stripes
[mlops_cls.networks]
tiny_net = stripes_of_others
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a package with a data set and a network where Python finds installed ones."""
    about = tmp_path / "site" / "stripes_of_others-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stripes-of-others\nVersion: 1\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    (about.parent / "stripes_of_others.py").write_text(CODE)
    monkeypatch.syspath_prepend(about.parent)


def overrides(root: Path, home: Path) -> list[str]:
    return [
        "data.name=stripes",
        f"data.root={root}",
        "model.name=tiny_net",
        "+model.kwargs.width=3",
        "runtime=plain",
        "logger=none",
        "run.report=false",
        "trainer.max_epochs=1",
        f"data.store={home / 'prepared'}",
        f"run.folder={home / 'runs'}",
    ]


@pytest.mark.usefixtures("installed")
def test_data_and_networks_of_an_installed_package_are_not_found(
    make_pictures: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_pictures(tmp_path / "pictures", {"green": 20, "red": 20})
    run = mc.fit(mc.load_config(*overrides(root, tmp_path)))
    assert run.card.classes == ("red", "green")
    assert run.card.architecture.name == "tiny_net"
    assert mc.Predictor.load(run.checkpoint).card == run.card


@pytest.mark.usefixtures("installed")
def test_weights_of_a_network_that_timm_knows_nothing_of_want_their_pictures_in_some_way() -> None:
    assert pretrained_preprocess("tiny_net") is None


def test_a_network_that_cannot_be_exported_is_trained_first() -> None:
    @register_model
    def headless_net(pretrained: bool = False, **_: object) -> nn.Module:
        return nn.Flatten()

    with pytest.raises(mc.ConfigError, match=r"give it a method get_classifier"):
        make_network(Architecture(name="headless_net"), num_classes=2, channels=1)


@pytest.mark.usefixtures("installed")
def test_installed_data_are_not_among_the_names_that_were_meant() -> None:
    with pytest.raises(mc.ConfigError, match="did you mean 'stripes'"):
        mc.fit(mc.load_config("data.name=stripe"))


@pytest.mark.usefixtures("installed")
def test_synthetic_pictures_are_asked_of_a_data_set_that_has_none() -> None:
    with pytest.raises(mc.ConfigError, match="synthetic is impossible"):
        mc.fit(mc.load_config("data.name=stripes", "data.source=synthetic"))
