"""A published model's name means one model, and never a path."""

from pathlib import Path

import pytest

from mlops_cls.errors import ArtifactError
from mlops_cls.publishing.address import DvcAddress, GsAddress, WandbAddress, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dvc:skin_lesion", DvcAddress("skin_lesion")),
        ("wandb:skin:best", WandbAddress("model", "skin", "best")),
        ("wandb:clinic/skin:v3", WandbAddress("clinic", "skin", "v3")),
        ("gs://our-bucket/models/skin", GsAddress("our-bucket", "models/skin")),
    ],
)
def test_a_name_is_read_otherwise_than_it_is_told(text: str, expected: object) -> None:
    address = parse(text)
    assert address == expected
    assert str(address) == text


@pytest.mark.parametrize("path", ["runs/latest", "C:/runs", "model.ckpt", Path("dvc"), ""])
def test_a_path_is_taken_for_a_name(path: object) -> None:
    assert parse(path) is None


@pytest.mark.parametrize(
    "text", ["dvc:", "dvc:../x", "dvc:a/b", "dvc:.hidden", "wandb:skin", "wandb:skin:", "wandb::best", "wandb:a/b/c:d"]
)
def test_a_name_leads_out_of_its_folder_or_half_of_it_is_guessed(text: str) -> None:
    with pytest.raises(ArtifactError, match=r"allowed are letters, .*such as dvc:skin_lesion, wandb:skin_lesion:best"):
        parse(text)


@pytest.mark.parametrize(
    "text",
    ["gs:", "gs:bucket/a", "gs://", "gs://bucket", "gs://bucket/", "gs://B/a", "gs://bucket/a//b", "gs://b../a/../b"],
)
def test_a_folder_of_a_bucket_is_guessed(text: str) -> None:
    with pytest.raises(ArtifactError, match=r"is no gs://BUCKET/FOLDER, such as gs://my-bucket/models/skin_lesion"):
        parse(text)


@pytest.mark.parametrize(("alias", "fixed"), [("v3", True), ("v12", True), ("best", False), ("v3b", False)])
def test_an_alias_is_taken_for_a_version(alias: str, fixed: bool) -> None:
    assert WandbAddress("model", "skin", alias).fixed is fixed
