"""Fashion-MNIST is read as torchvision reads it, and files that are missing or wrong are named."""

import gzip
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import md5
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from mlops_cls.data.sources.fmnist import FashionMnistSource
from mlops_cls.errors import DataError

FMNIST_FILES = (
    "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
)  # fmt: skip


def idx(values: np.ndarray) -> bytes:
    header = [2048 + values.ndim, *values.shape]
    return np.array(header, ">u4").tobytes() + values.astype(np.uint8).tobytes()


def write_fmnist(folder: Path, *, zipped: bool = False) -> dict[str, np.ndarray]:
    """Write 20 training and 10 test pictures; return what was written by file name."""
    generator = np.random.default_rng(0)
    arrays = {}
    for part, number in (("train", 20), ("t10k", 10)):
        arrays[f"{part}-images-idx3-ubyte"] = generator.integers(0, 256, (number, 28, 28))
        arrays[f"{part}-labels-idx1-ubyte"] = np.arange(number) % 10
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in arrays.items():
        (folder / (name + ".gz" * zipped)).write_bytes(gzip.compress(idx(values)) if zipped else idx(values))
    return arrays


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("nested", [".", "raw", "FashionMNIST/raw"])
def test_the_idx_files_are_read_otherwise_than_written(tmp_path: Path, nested: str, zipped: bool) -> None:
    arrays = write_fmnist(tmp_path / nested, zipped=zipped)
    source = FashionMnistSource(tmp_path, download=False)
    samples = source.samples()
    assert Counter(s.split for s in samples) == {"train": 20, "test": 10}
    assert len({s.id for s in samples}) == 30
    assert [s.label for s in samples[20:]] == list(source.classes)
    expected = np.concatenate([arrays["train-images-idx3-ubyte"], arrays["t10k-images-idx3-ubyte"]])
    np.testing.assert_array_equal(np.stack([source.picture(s) for s in samples]), expected)
    assert len(source.fingerprint()) == 64


@pytest.mark.parametrize("lost", [FMNIST_FILES, FMNIST_FILES[3:]], ids=["all", "one"])
def test_missing_idx_files_are_not_named(tmp_path: Path, lost: tuple[str, ...]) -> None:
    write_fmnist(tmp_path)
    for name in lost:
        (tmp_path / name).unlink()
    with pytest.raises(DataError, match=r"data\.root=FOLDER") as refused:
        FashionMnistSource(tmp_path, download=False).fingerprint()
    assert str(tmp_path) in str(refused.value)
    assert all(f"{name}.gz" in str(refused.value) for name in FMNIST_FILES)


@contextmanager
def mirror(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Serve `folder` from this machine in place of torchvision's mirrors."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("torchvision.datasets.FashionMNIST.mirrors", [f"http://127.0.0.1:{server.server_port}/"])
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_downloaded_files_are_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_fmnist(tmp_path / "mirror", zipped=True)
    resources = [(path.name, md5(path.read_bytes()).hexdigest()) for path in (tmp_path / "mirror").iterdir()]
    monkeypatch.setattr("torchvision.datasets.FashionMNIST.resources", resources)
    source = FashionMnistSource(tmp_path / "root")
    with mirror(tmp_path / "mirror", monkeypatch):
        assert source.samples() == FashionMnistSource(tmp_path / "mirror").samples()
    assert FashionMnistSource(tmp_path / "root", download=False).fingerprint() == source.fingerprint()


def test_a_failed_download_is_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mirror(tmp_path, monkeypatch):
        pass  # it no longer answers
    with pytest.raises(DataError, match=r"place train-images.*\(The download failed: .*refused") as refused:
        FashionMnistSource(tmp_path / "root").samples()
    assert str(tmp_path / "root") in str(refused.value)


def swap(folder: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    path = folder / name
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (FMNIST_FILES[0], lambda b: b"\0\0\x08\x02" + b[4:], "no Fashion-MNIST file: magic 2050"),
        (FMNIST_FILES[1], lambda b: idx(np.zeros((5, 28, 28))), "no Fashion-MNIST file: magic 2051"),
        (FMNIST_FILES[0], lambda b: b[:-784], "20 entries announced, 19 found"),
        (FMNIST_FILES[0], lambda b: b[:-1], "is damaged"),
        (FMNIST_FILES[2], lambda b: b"", "is damaged"),
        (FMNIST_FILES[2], lambda b: b[:6], "is damaged"),
        (FMNIST_FILES[1], lambda b: idx(np.zeros(19)), "does not belong to"),
        (FMNIST_FILES[3], lambda b: idx(np.full(10, 10)), "does not belong to"),
    ],
    ids=["magic", "images as labels", "a picture short", "a byte short", "empty", "header alone", "labels", "label 10"],
)
def test_a_wrong_idx_file_is_read(tmp_path: Path, name: str, change: Callable[[bytes], bytes], message: str) -> None:
    write_fmnist(tmp_path)
    swap(tmp_path, name, change)
    with pytest.raises(DataError, match=message) as refused:
        FashionMnistSource(tmp_path, download=False).samples()
    assert name in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b[: len(b) // 2],
        lambda b: b[:900] + bytes(100) + b[1000:],
        lambda b: b[:10] + b"\xff" * 20 + b[30:],
        lambda b: b"<html>" + b,
        lambda b: b"",
    ],
    ids=["truncated", "overwritten", "another stream", "a web page", "empty"],
)
def test_a_damaged_gz_is_a_traceback(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    write_fmnist(tmp_path, zipped=True)
    swap(tmp_path, f"{FMNIST_FILES[0]}.gz", change)
    with pytest.raises(DataError, match=rf"{FMNIST_FILES[0]}\.gz is damaged.*fetch it again"):
        FashionMnistSource(tmp_path, download=False).samples()


def test_fashion_mnist_differs_from_torchvisions(real_data: Path, tmp_path: Path) -> None:
    from torchvision.datasets import FashionMNIST

    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name in FMNIST_FILES:
        (raw / name).write_bytes(gzip.decompress((real_data / "fmnist" / f"{name}.gz").read_bytes()))
    packed = FashionMnistSource(real_data / "fmnist", download=False)
    unpacked = FashionMnistSource(tmp_path, download=False)
    assert unpacked.samples() == packed.samples()
    assert unpacked.classes == tuple(FashionMNIST.classes)
    for split in ("train", "test"):
        reference = FashionMNIST(str(tmp_path), train=split == "train", download=False)
        samples = [s for s in packed.samples() if s.split == split]
        assert [s.label for s in samples] == [reference.classes[label] for label in reference.targets.tolist()]
        for source in (packed, unpacked):
            pixels = np.stack([source.picture(s) for s in samples])
            np.testing.assert_array_equal(pixels, reference.data.numpy())
    shutil.rmtree(raw)  # 55 MB, which pytest would keep for its last three runs
