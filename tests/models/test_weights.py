"""Weights from files: what fits is loaded and what does not is said; nothing in a file is ever run."""

import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mlops_cls.card import Architecture, ModelCard, Preprocess
from mlops_cls.errors import ArtifactError
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.networks import make_network
from mlops_cls.models.weights import PREFIX, LoadReport, by_class, load_into, read_checkpoint, read_weights

CARD = ModelCard(
    classes=("a", "b", "c"),
    preprocess=Preprocess(size=8, mean=(0.5,), std=(0.25,)),
    architecture=Architecture(name="two_conv_cnn"),
)


def make(num_classes: int = 3) -> nn.Module:
    return make_network(CARD.architecture, num_classes=num_classes, channels=1)


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def as_state_dict(network: nn.Module, folder: Path) -> Path:
    torch.save(network.state_dict(), folder / "weights.pt")
    return folder / "weights.pt"


def as_old_state_dict(network: nn.Module, folder: Path) -> Path:
    torch.save(network.state_dict(), folder / "weights.pth", _use_new_zipfile_serialization=False)
    return folder / "weights.pth"


def as_safetensors(network: nn.Module, folder: Path) -> Path:
    save_file(network.state_dict(), folder / "weights.safetensors")
    return folder / "weights.safetensors"


def as_checkpoint_of_timm(network: nn.Module, folder: Path) -> Path:
    torch.save({"epoch": 3, "arch": "two_conv_cnn", "state_dict": network.state_dict()}, folder / "best.pth.tar")
    return folder / "best.pth.tar"


def as_checkpoint_of_deit(network: nn.Module, folder: Path) -> Path:
    torch.save({"model": network.state_dict()}, folder / "deit.pth")
    return folder / "deit.pth"


def as_our_checkpoint(network: nn.Module, folder: Path) -> Path:
    classifier = ImageClassifier(CARD)
    classifier.network.load_state_dict(network.state_dict())
    content: dict[str, Any] = {"state_dict": classifier.state_dict(), "epoch": 3}
    classifier.on_save_checkpoint(content)
    torch.save(content, folder / "ours.ckpt")
    return folder / "ours.ckpt"


WRITERS = [
    as_state_dict,
    as_old_state_dict,
    as_safetensors,
    as_checkpoint_of_timm,
    as_checkpoint_of_deit,
    as_our_checkpoint,
]


@pytest.mark.parametrize("write", WRITERS)
def test_weights_come_back_bit_by_bit_from_every_kind_of_file(
    write: Callable[[nn.Module, Path], Path], tmp_path: Path
) -> None:
    source, target = make(), make()
    path = write(source, tmp_path)
    tensors, card = read_weights(path)
    report = load_into(target, tensors, path)
    assert equal(target.state_dict(), source.state_dict())
    assert report == LoadReport(len(source.state_dict()), [], [], [])
    assert card == (CARD if write is as_our_checkpoint else None)


def test_weights_of_our_checkpoint_are_the_network_alone(tmp_path: Path) -> None:
    tensors, _ = read_weights(as_our_checkpoint(make(), tmp_path))
    assert tensors.keys() == make().state_dict().keys()
    assert not any(name.startswith((PREFIX, "normalise")) for name in tensors)


def test_head_for_other_classes_is_left_as_it_was_and_reported(tmp_path: Path) -> None:
    source, target = make(num_classes=3), make(num_classes=4)
    head = target.head.weight.detach().clone()
    path = as_state_dict(source, tmp_path)
    report = load_into(target, read_weights(path)[0], path)
    assert report.misshapen == ["head.weight", "head.bias"]
    assert str(report) == f"{len(source.state_dict()) - 2} tensors loaded, 2 of another shape (head.weight, head.bias)"
    assert torch.equal(target.head.weight, head)
    assert torch.equal(target.blocks[0][0].weight, source.blocks[0][0].weight)


@pytest.mark.parametrize("ours", [("c", "a", "b"), ("c", "new", "a", "b"), ("b",)])
def test_a_class_begins_with_the_head_of_another(ours: tuple[str, ...], tmp_path: Path) -> None:
    theirs = ("a", "b", "c")
    source, target = make(num_classes=3), make(num_classes=len(ours))
    fresh = target.head.weight.detach().clone()
    report = load_into(target, by_class(target, source.state_dict(), theirs, ours), tmp_path)
    assert report.misshapen == []
    for row, name in enumerate(ours):
        expected = source.head.weight[theirs.index(name)] if name in theirs else fresh[row]
        assert torch.equal(target.head.weight[row], expected)
        if name in theirs:
            assert target.head.bias[row] == source.head.bias[theirs.index(name)]


def test_weights_of_unknown_classes_are_changed_on_the_way() -> None:
    network, tensors = make(num_classes=3), make(num_classes=3).state_dict()
    for theirs in ((), ("x", "y", "z"), ("a", "b", "c")):
        assert equal(by_class(network, tensors, theirs, ("a", "b", "c")), tensors)


def test_names_that_only_one_side_has_are_reported(tmp_path: Path) -> None:
    network = make()
    tensors = dict(network.state_dict(), **{"head_dist.weight": torch.zeros(1)})
    del tensors["head.bias"]
    report = load_into(make(), tensors, tmp_path)
    assert (report.missing, report.unexpected, report.misshapen) == (["head.bias"], ["head_dist.weight"], [])
    assert str(report).endswith("1 not in the file (head.bias), 1 not in the network (head_dist.weight)")


def test_file_of_another_network_is_refused_with_names_of_both(tmp_path: Path) -> None:
    network = make()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ArtifactError, match=r"nothing in .*x\.pt fits: it has encoder.w, the network has blocks\.0"):
        load_into(network, {"encoder.w": torch.zeros(3)}, tmp_path / "x.pt")
    assert equal(network.state_dict(), before)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def zipped(content: object, path: Path) -> None:
    torch.save(content, path)


def old(content: object, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def plain_pickle(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize("write", [zipped, old, plain_pickle])
@pytest.mark.parametrize("ending", [".pt", ".ckpt", ".safetensors"])
def test_pickle_that_would_run_code_is_refused_and_not_run(
    write: Callable[[object, Path], None], ending: str, tmp_path: Path
) -> None:
    path, sprung = tmp_path / f"trap{ending}", tmp_path / "sprung"
    write({"state_dict": {"head.weight": torch.zeros(1)}, "extra": Trap(sprung)}, path)
    with pytest.raises(ArtifactError):
        read_weights(path)
    assert not sprung.exists()


def test_trap_of_these_tests_does_spring_where_pickles_are_trusted(tmp_path: Path) -> None:
    zipped(Trap(tmp_path / "sprung"), tmp_path / "trap.pt")
    torch.load(tmp_path / "trap.pt", weights_only=False)
    assert (tmp_path / "sprung").is_dir()


@pytest.mark.parametrize("content", [Trap(Path("sprung")), {"model": nn.Linear(1, 1)}, {"path": Path("x")}])
def test_pickle_of_objects_is_refused_with_the_reason_and_what_to_do(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "objects.pt")
    with pytest.raises(ArtifactError, match=r"refused: it holds Python objects.*save it again as a state dict"):
        read_checkpoint(tmp_path / "objects.pt")


GARBAGE = {
    "empty": b"",
    "text": b"not a checkpoint\n" * 20,
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "zip": b"PK\x03\x04" + bytes(100),
    "pickle of nothing": b"\x80\x02}q\x00.",
    "large file pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n",
}


@pytest.mark.parametrize("kind", GARBAGE)
@pytest.mark.parametrize("ending", [".pt", ".ckpt", ".safetensors"])
def test_garbage_is_refused_with_its_path(kind: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"garbage{ending}"
    path.write_bytes(GARBAGE[kind])
    with pytest.raises(ArtifactError, match=r"garbage\."):
        read_weights(path)


@pytest.mark.parametrize("write", [as_state_dict, as_old_state_dict, as_safetensors, as_our_checkpoint])
def test_truncated_file_is_refused_wherever_it_ends(write: Callable[[nn.Module, Path], Path], tmp_path: Path) -> None:
    path = write(make(), tmp_path)
    whole = path.read_bytes()
    for share in (0.001, 0.01, 0.1, 0.5, 0.9, 0.999):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ArtifactError):
            read_weights(path)


@pytest.mark.parametrize("write", [as_state_dict, as_old_state_dict, as_safetensors])
def test_file_with_flipped_bytes_is_read_or_refused_and_fails_in_no_other_way(
    write: Callable[[nn.Module, Path], Path], tmp_path: Path
) -> None:
    path = write(nn.BatchNorm1d(3), tmp_path)
    whole, draw = path.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for place in draw.sample(range(len(whole)), 3):
            damaged[place] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            read_weights(path)
        except ArtifactError:
            refused += 1
    assert refused > 0


@pytest.mark.parametrize("name", ["missing.pt", "missing.ckpt", "missing.safetensors"])
def test_missing_file_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=name):
        read_weights(tmp_path / name)


def test_folder_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no checkpoint at"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("content", [torch.zeros(3), [torch.zeros(3)], 3])
def test_file_that_is_no_mapping_is_refused_with_what_it_holds(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "odd.pt")
    with pytest.raises(ArtifactError, match=f"it holds a {type(content).__name__}"):
        read_weights(tmp_path / "odd.pt")


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, {"state_dict": {}}, {"state_dict": [1]}, {1: torch.zeros(1)}])
def test_file_without_named_tensors_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "odd.pt")
    with pytest.raises(ArtifactError, match="holds no tensors"):
        read_weights(tmp_path / "odd.pt")


def test_tensor_that_happens_to_be_called_model_is_read(tmp_path: Path) -> None:
    torch.save({"model": torch.ones(2), "head.bias": torch.zeros(1)}, tmp_path / "odd.pt")
    assert read_weights(tmp_path / "odd.pt")[0].keys() == {"model", "head.bias"}
