"""Random numbers of a batch, each picture's from its own seed: not from its place, its batch, or its process."""

import math

import torch
from torch import Tensor

# Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014, doi:10.1145/2660193.2660195; the
# shifts and factors are those of SplittableRandom in Java 8 and of Vigna, https://prng.di.unimi.it/splitmix64.c.
GOLDEN, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


class Uniforms:
    """The random numbers of a batch of pictures, by the seeds int64[B] of their draws.

    Number k of a picture is a hash of its seed and k alone. So that k means the same in every batch, take as many
    numbers whatever they turn out to be.
    """

    def __init__(self, seeds: Tensor) -> None:
        self._keys = _splitmix(seeds + _signed(GOLDEN))[:, None]
        self._taken = 0

    def take(self, number: int) -> Tensor:
        """Return float32[B,number] of 24 random bits each, from 0 to below 1."""
        counts = torch.arange(self._taken + 1, self._taken + number + 1, device=self._keys.device)
        self._taken += number
        return _logical_shift(_splitmix(self._keys + counts * _signed(GOLDEN)), 40).float() * 2.0**-24

    def between(self, low: float | Tensor, high: float | Tensor) -> Tensor:
        """Return float32[B], uniform from `low` to `high`; both may be tensors of B."""
        return low + (high - low) * self.take(1)[:, 0]

    def whole(self, low: int | Tensor, high: int | Tensor) -> Tensor:
        """Return int64[B], each whole number from `low` to `high` (both included) equally often."""
        return low + (self.take(1)[:, 0] * (high - low + 1)).floor().long()

    def normal(self, number: int) -> Tensor:
        """Return float32[B,number], normally distributed: Box, Muller 1958, doi:10.1214/aoms/1177706645."""
        half = (number + 1) // 2
        radius = (-2 * torch.log1p(-self.take(half))).sqrt()
        angle = 2 * math.pi * self.take(half)
        return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :number]


def _splitmix(bits: Tensor) -> Tensor:
    first = (bits ^ _logical_shift(bits, 30)) * _signed(FIRST)
    second = (first ^ _logical_shift(first, 27)) * _signed(SECOND)
    return second ^ _logical_shift(second, 31)


def _logical_shift(bits: Tensor, by: int) -> Tensor:
    # torch has no unsigned 64 bits to compute with: its shift to the right repeats the sign.
    shifted: Tensor = (bits >> by) & (2 ** (64 - by) - 1)
    return shifted


def _signed(bits: int) -> int:
    return bits - 2**64 if bits >= 2**63 else bits
