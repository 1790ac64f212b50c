"""A machine of nobody's, and a bucket."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from google_storage import google_storage

OF_SOMEBODY = ("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT", "GOOGLE_APPLICATION_CREDENTIALS", "WANDB_API_KEY")


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stay without credentials, project and key, in an empty folder."""
    for name in OF_SOMEBODY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have an emulator of Cloud Storage with the bucket `pictures`, as long as a file of tests is run."""
    with google_storage(tmp_path_factory.mktemp("gcs")) as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", address)
        yield
