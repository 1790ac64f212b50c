"""What a network is trained on and what it is shown later: the same pixels, whatever the picture."""

from pathlib import Path

import numpy as np
import pytest

import mlops_cls as mc
from mlops_cls.predictor import Predictor
from odd_pictures import ODD, write_odd_pictures

CLASSES = {"deep red": (200, 40, 40), "grün": (40, 190, 60), "blue": (40, 60, 210)}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_odd_pictures(tmp_path_factory.mktemp("odd") / "raw", CLASSES)


@pytest.mark.parametrize("channels", ["rgb", "grey"])
@pytest.mark.parametrize(
    "geometry", [{}, {"crop": 0.875, "interpolation": "bicubic"}, {"resize": "stretch"}, {"resize": "pad"}], ids=str
)
def test_prediction_sees_other_pixels_than_the_data_module_gives(
    raw: Path, tmp_path: Path, geometry: dict[str, object], channels: str
) -> None:
    plan = mc.Plan(size=24, channels=channels, **geometry)
    # The doctor finds fault with so few pictures of so many kinds.
    data = mc.FolderDataModule(raw, plan=plan, store=tmp_path, check="off")
    predictor = Predictor(mc.make_card(data.manifest, "baseline_cnn"), lambda _: None)
    seen = 0
    for split in ("train", "val", "test"):
        for row, i in enumerate(data.prepared.ids(split)):
            batch, _ = data.dataset(split)[row]
            for source in (raw / i, (raw / i).read_bytes()):
                np.testing.assert_array_equal(predictor.fit(source), batch.numpy().transpose(1, 2, 0), err_msg=i)
            seen += 1
    assert seen == len(CLASSES) * len(ODD)
