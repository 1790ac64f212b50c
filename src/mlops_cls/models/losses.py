"""What training minimises: cross entropy, focal loss or one sigmoid per class; and mixup and cutmix of batches."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

from mlops_cls.choices import ClassWeights, LossName
from mlops_cls.config import AugmentConfig, LossConfig

DEFAULT_GAMMA = 2.0
Mix = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class FocalLoss(nn.Module):
    """Cross entropy times ``(1 - p)^gamma``, p the probability of the true class; Lin et al. 2017, arXiv:1708.02002.

    Takes logits float[B,K] and labels int64[B]; class weights as in `torch.nn.CrossEntropyLoss`.
    """

    weight: Tensor | None

    def __init__(self, gamma: float, weight: Tensor | None = None) -> None:
        super().__init__()
        self.gamma = gamma
        self.register_buffer("weight", weight)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        log_p = logits.log_softmax(1).gather(1, labels[:, None])[:, 0]
        # Not quite 0, where the power has no slope for gamma below 1 and the gradient would be NaN.
        missed = (1 - log_p.exp()).clamp(min=torch.finfo(log_p.dtype).eps)
        losses = -(missed**self.gamma) * log_p
        if self.weight is None:
            return losses.mean()
        weights = self.weight[labels]
        return (weights * losses).sum() / weights.sum()


class BinaryCrossEntropy(nn.Module):
    """One sigmoid per class; Wightman et al. 2021, arXiv:2110.00476. timm's own leaves mixed labels unsmoothed.

    Takes logits float[B,K] and labels int64[B] or float[B,K].
    """

    def __init__(self, smoothing: float) -> None:
        super().__init__()
        self.smoothing = smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        num_classes = logits.shape[1]
        shares = labels if labels.is_floating_point() else F.one_hot(labels, num_classes)
        targets = shares.to(logits.dtype) * (1 - self.smoothing) + self.smoothing / num_classes
        return F.binary_cross_entropy_with_logits(logits, targets)


def balanced_weights(counts: Sequence[int]) -> Tensor:
    """Return float[K] weights in inverse proportion to each class's pictures, 1 on average over pictures."""
    numbers = torch.tensor(counts, dtype=torch.float32)
    return numbers.sum() / (len(counts) * numbers)


def make_loss(config: LossConfig, counts: Mapping[str, int]) -> nn.Module:
    """Return the loss: logits float[B,K] and labels int64[B] (or float[B,K] when mixed) to a scalar.

    `counts` are the training pictures per class, in class order. With class weights the mean is over the pictures on a
    device at once, each by its weight; in several processes, or where a step is taken in parts, their means are
    averaged, which weighs a picture a little more where others beside it weigh little.
    """
    weight = balanced_weights(list(counts.values())) if config.class_weights is ClassWeights.balanced else None
    smoothing = config.smoothing or 0.0
    if config.name is LossName.focal:
        return FocalLoss(DEFAULT_GAMMA if config.gamma is None else config.gamma, weight)
    if config.name is LossName.bce:
        return BinaryCrossEntropy(smoothing)
    return nn.CrossEntropyLoss(weight, label_smoothing=smoothing)


def make_mix(config: AugmentConfig, num_classes: int) -> Mix | None:
    """Return the mixer of float[B,C,H,W] pictures and int64[B] labels into pictures and float[B,K] labels, or None.

    mixup: Zhang et al. 2018, arXiv:1710.09412; cutmix: Yun et al. 2019, arXiv:1905.04899.
    """
    mixers: list[nn.Module] = []
    if config.mixup:
        mixers.append(v2.MixUp(alpha=config.mixup, num_classes=num_classes))
    if config.cutmix:
        mixers.append(v2.CutMix(alpha=config.cutmix, num_classes=num_classes))
    return v2.RandomChoice(mixers) if mixers else None


def log_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the summed cross entropy in nats: the loss that is reported, whatever was minimised."""
    return F.cross_entropy(logits.float(), labels, reduction="sum")
