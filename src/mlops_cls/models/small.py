"""Three small networks, registered with timm so that `model.name=baseline_cnn` is nothing special."""

from collections.abc import Sequence
from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

_CFG = {
    "input_size": (3, 64, 64), "pool_size": None, "crop_pct": 1.0, "interpolation": "bilinear",
    "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "classifier": "head",
}  # fmt: skip
default_cfgs = generate_default_cfgs(
    {
        "baseline_cnn.untrained": _CFG | {"first_conv": "blocks.0.0"},
        "mini_resnet.untrained": _CFG | {"first_conv": "blocks.0.0"},
        "two_conv_cnn.untrained": _CFG | {"first_conv": "blocks.0.0"},
    }
)


class SmallNetwork(nn.Module):
    """A chain of blocks ending in a feature vector, and one linear layer: images float[B,C,H,W] to logits [B,K]."""

    def __init__(
        self, design: str, widths: Sequence[int], in_chans: int = 3, num_classes: int = 1000, drop_rate: float = 0.0
    ) -> None:
        super().__init__()
        blocks, self.num_features = _DESIGNS[design](in_chans, widths)
        self.blocks = nn.Sequential(*blocks)
        self.head_hidden_size = self.num_features
        self.head_drop = nn.Dropout(drop_rate)
        self.reset_classifier(num_classes)

    def forward_features(self, images: Tensor) -> Tensor:
        features: Tensor = self.blocks(images)
        return features

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        pooled: Tensor = self.head_drop(features)
        return pooled if pre_logits else self.head(pooled)

    def forward(self, images: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(images))

    def get_classifier(self) -> nn.Module:
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        self.num_classes = num_classes
        self.head = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """Tell timm which parameters form a layer, for layer-wise learning rates."""
        return {"stem": r"^blocks\.0", "blocks": r"^blocks\.(\d+)"}


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut; He et al. 2016, arXiv:1512.03385."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = _conv_norm(inside, outside, stride), _conv_norm(outside, outside, 1)
        same = stride == 1 and inside == outside
        self.shortcut = nn.Identity() if same else _conv_norm(inside, outside, stride, kernel=1)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.second(self.act(self.first(x))) + self.shortcut(x))
        return out


def _conv_norm(inside: int, outside: int, stride: int, kernel: int = 3) -> nn.Sequential:
    conv = nn.Conv2d(inside, outside, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outside))


def _plain(in_chans: int, widths: Sequence[int]) -> tuple[list[nn.Module], int]:
    """Convolution, BatchNorm, ReLU and halving per width, then the mean over the picture."""
    blocks: list[nn.Module] = []
    for inside, outside in zip((in_chans, *widths), widths, strict=False):
        conv = nn.Conv2d(inside, outside, 3, padding=1, bias=False)
        # Halving rounds up, so that any picture of at least one pixel passes.
        pool = nn.MaxPool2d(2, ceil_mode=True)
        blocks.append(nn.Sequential(conv, nn.BatchNorm2d(outside), nn.ReLU(inplace=True), pool))
    return [*blocks, _global_mean()], widths[-1]


def _residual(in_chans: int, widths: Sequence[int]) -> tuple[list[nn.Module], int]:
    stem = nn.Sequential(nn.Conv2d(in_chans, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU())
    stages: list[nn.Module] = []
    for number, (inside, outside) in enumerate(zip((widths[0], *widths), widths, strict=False)):
        stages.append(nn.Sequential(Residual(inside, outside, 1 if number == 0 else 2), Residual(outside, outside, 1)))
    return [stem, *stages, _global_mean()], widths[-1]


def _two_conv(in_chans: int, widths: Sequence[int]) -> tuple[list[nn.Module], int]:
    """Two convolution blocks, pooled to 5x5 cells whatever the picture's size, and one hidden layer."""
    *convolutions, hidden = widths
    blocks, width = _plain(in_chans, convolutions)
    cells = nn.Sequential(nn.AdaptiveAvgPool2d(5), nn.Flatten(), nn.Linear(width * 25, hidden), nn.ReLU(inplace=True))
    return [*blocks[:-1], cells], hidden


def _global_mean() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


_DESIGNS = {"plain": _plain, "residual": _residual, "two_conv": _two_conv}


def _build(variant: str, pretrained: bool, design: str, usual: tuple[int, ...], given: dict[str, Any]) -> nn.Module:
    arguments = {"widths": usual} | given | {"design": design}
    network: nn.Module = build_model_with_cfg(SmallNetwork, variant, pretrained, **arguments)
    return network


@register_model
def baseline_cnn(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Four convolution blocks of 32, 64, 128 and 256 channels; others with ``widths``."""
    return _build("baseline_cnn", pretrained, "plain", (32, 64, 128, 256), kwargs)


@register_model
def mini_resnet(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Three residual stages of 64, 128 and 256 channels, two blocks each."""
    return _build("mini_resnet", pretrained, "residual", (64, 128, 256), kwargs)


@register_model
def two_conv_cnn(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Convolutions of 32 and 64 channels, 5x5 cells, 64 hidden units."""
    return _build("two_conv_cnn", pretrained, "two_conv", (32, 64, 64), kwargs)
