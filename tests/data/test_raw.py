"""Raw files come from where the config says: a URL, a bucket, Kaggle; and what cannot be is refused at once."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

import mlops_cls as mc
from mlops_cls.build import check, make_datamodule
from mlops_cls.data.raw import raw_files
from mlops_cls.data.synthetic import write_synthetic
from mlops_cls.errors import ConfigError, DataError


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def settings(tmp_path: Path) -> list[str]:
    return ["data=seabed", "data.size=16", f"data.root={tmp_path / 'raw'}", f"data.store={tmp_path / 'store'}"]


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[str]:
    """Return the address of a web server that serves tmp_path."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_archive_behind_a_url_is_prepared_and_its_signature_kept_out_of_the_card(
    shelf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = write_synthetic("seabed", tmp_path / "s.zip", per_class=6).read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    source = ["data.source=download", f"data.url='{shelf}/s.zip?signature=whisper'", f"data.sha256={sha256}"]
    config = mc.load_config(*settings(tmp_path), *source)
    check(config)
    assert make_datamodule(config).manifest.source == "seabed"
    assert visible(tmp_path / "raw") == [f"{sha256[:16]}.zip"]
    monkeypatch.setattr("sys.argv", ["train.py", *source])
    quick = ["model=baseline_cnn", "trainer=rehearsal", "logger=none", f"run.folder={tmp_path / 'runs'}"]
    run = mc.fit(mc.load_config(*settings(tmp_path), *source, *quick))
    assert run.card.provenance["data"]["origin"]["url"] == f"{shelf}/s.zip"
    assert [path for path in run.folder.rglob("*") if path.is_file() and b"whisper" in path.read_bytes()] == []


def test_object_in_a_google_bucket_is_prepared(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = write_synthetic("seabed", tmp_path / "s.zip", per_class=6).read_bytes()
    upload = f"{bucket}/upload/storage/v1/b/pictures/o?uploadType=media&name=sets/sonar.zip"
    with urlopen(Request(upload, data=content, headers={"Content-Type": "application/zip"})) as answer:
        assert answer.status == 200
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket)
    source = ["data.source=gs", "data.url=gs://pictures/sets/sonar.zip"]
    config = mc.load_config(*settings(tmp_path), *source)
    assert make_datamodule(config).manifest.source == "seabed"
    (archive,) = (tmp_path / "raw").glob("*.zip")
    assert archive.read_bytes() == content
    missing = mc.load_config(*settings(tmp_path), "data.source=gs", "data.url=gs://pictures/sets/nothing.zip")
    with pytest.raises(DataError, match=r"nothing\.zip.*cannot be reached"):
        raw_files(missing.data)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data=seabed", "data.source=download"], r"needs data\.url=https://HOST/FILE\.zip"),
        (["data=seabed", "data.source=gs"], r"needs data\.url=gs://BUCKET/FILE\.zip"),
        (["data=seabed", "data.source=gs", "data.url=https://x/y.zip"], r"must be like gs://BUCKET"),
        (["data=seabed", "data.source=download", "data.url=ftp://x/y.zip"], r"must be like https://HOST"),
        (["data=seabed", "data.source=download", "data.url=https://x/y.zip"], r"needs data\.sha256=HEX"),
        (["data=fmnist", f"data.sha256={'a' * 64}"], r"data\.sha256=.* would not be used"),
        (["data=seabed", "data.url=https://x/y.zip"], r"data\.url=.* would not be used: data\.source=local reads none"),
        (["data=seabed", "data.source=gs", "data.url=gs://x/y", "data.sha256=xyz"], r"64 digits and small letters"),
        (["data=folder", "data.root=x", "data.source=download"], r"impossible for data=folder: it takes local, dvc"),
        (["data=seabed", "data.source=kaggle"], r"Kaggle has fmnist, skin_lesion, emotion, dog_breed"),
        (
            ["data=seabed", "data.source=download", "data.url=https://me:secret@x/y.zip"],
            r"holds a user name or password",
        ),
        (
            ["data=seabed", "data.source=download", "data.url=https://x/y?a=1"],
            r"wants quotes: .data\.url='https://x/y\?a=1'",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_source_that_cannot_serve_is_found_out_late(overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check(mc.load_config(*overrides))


def test_kaggle_without_its_client_is_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlops_cls.data.remote.find_spec", lambda _: None)
    config = mc.load_config("data=emotion", "data.source=kaggle", f"data.root={tmp_path}")
    check(config)
    with pytest.raises(DataError, match=r'pip install "mlops-cls\[kaggle\]"'):
        make_datamodule(config)
    assert visible(tmp_path) == []
