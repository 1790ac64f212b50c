"""The order of an epoch: which pictures, in which batches, and which of them are this process's."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from torch import distributed
from torch.utils.data import DistributedSampler

from mlops_cls.errors import DataError

Rows = NDArray[np.int64]

MIRROR = 2**32
"""The bit of a seed that says in which of two epochs this is; which it is in epoch 0 is random per picture. What else
an augmentation draws comes from the 32 bits below."""


class Draws(NamedTuple):
    """Pictures to load, and the seed of each one's augmentation: int64[B] both."""

    rows: Rows
    seeds: Rows

    def part(self, where: slice) -> Self:
        return self._replace(rows=self.rows[where], seeds=self.seeds[where])


@dataclass(frozen=True, slots=True)
class Share:
    """Which of several processes this is; together they go through an epoch once."""

    rank: int = 0
    world: int = 1

    @classmethod
    def of_this_process(cls) -> Self:
        """Return what torch.distributed says; alone, unless a process group has been set up before."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())


class Position(NamedTuple):
    """A place in training: so many epochs, and then so many pictures drawn by all processes together."""

    epoch: int = 0
    drawn: int = 0


START = Position()


class EpochSampler:
    """This process's draws of an epoch: an order and augmentation seeds that depend on `seed` and the epoch alone.

    Args:
        length: number of rows.
        shuffle: rows in a fresh order each epoch, and as many draws for each process, so that none waits; what is left
            over comes in another epoch. Without it, every row once in store order.
        balanced: class of each row, int64[length], to draw by `balanced_order` and not each row once.
        seed: of order and augmentation.
        share: the processes' parts are disjoint and interleaved: row 0 to process 0, row 1 to process 1.

    Raises:
        DataError: fewer rows than processes.
    """

    def __init__(
        self, length: int, *, shuffle: bool, balanced: Rows | None = None, seed: int = 0, share: Share | None = None
    ) -> None:
        self.length, self.shuffle, self.balanced, self.seed = length, shuffle, balanced, seed
        self.share = share or Share()
        self.epoch = 0
        if length < self.share.world:
            raise DataError(
                f"{length} pictures of a split cannot be shared by {self.share.world} processes: "
                "add pictures, or give the Trainer fewer devices"
            )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning does so before each."""
        self.epoch = epoch

    def __len__(self) -> int:
        rest = self.length - self.share.rank
        return self.length // self.share.world if self.shuffle else ceil(rest / self.share.world)

    def draws(self) -> Draws:
        """Return the epoch's draws, in arrays: a Python object for each took more time than reading 28x28 pixels."""
        generator = np.random.default_rng([self.seed, self.epoch])
        order = self._order(generator)
        seeds = generator.integers(2**32, size=self.length) + MIRROR * ((self._halves[order] + self.epoch) % 2)
        mine = slice(self.share.rank, self.share.rank + len(self) * self.share.world, self.share.world)
        return Draws(order, seeds).part(mine)

    @cached_property
    def _halves(self) -> Rows:
        """int64[length] of 0 and 1, at random: in which of two epochs each row is mirrored."""
        # Not a generator of any epoch: those are seeded with two numbers, and a third of 0 would be the same as none.
        return np.random.default_rng([self.seed, 0, 1]).integers(2, size=self.length)

    def _order(self, generator: np.random.Generator) -> Rows:
        if not self.shuffle:
            return np.arange(self.length)
        return generator.permutation(self.length) if self.balanced is None else balanced_order(self.balanced, generator)


def balanced_order(labels: Rows, generator: np.random.Generator) -> Rows:
    """Return as many rows as there are labels, int64[N], each class equally often up to one, mixed at random.

    A class's rows come in a fresh permutation that is used up before any of them repeats: rows of a rare class repeat,
    equally often up to one, and of a frequent class another part is left out each time.
    """
    classes = np.unique(labels)
    turns = generator.permutation(np.resize(generator.permutation(classes), len(labels)))
    order = np.empty(len(labels), np.int64)
    for label in classes:
        places, rows = np.flatnonzero(turns == label), np.flatnonzero(labels == label)
        rounds = [generator.permutation(rows) for _ in range(ceil(len(places) / len(rows)))]
        order[places] = np.concatenate(rounds)[: len(places)]
    return order


class EpochBatches(DistributedSampler[Draws]):
    """A sampler's draws in batches.

    Shuffled (training) batches are all full, unless there is only one, and each process has as many. It is a
    DistributedSampler by type, so that Lightning puts none of its own in its place: that would go through the data in
    an order of its own, and repeat pictures in val and test.

    Args:
        sampler: of this process.
        batch_size: pictures of a batch of this process.
        parts: batches of a step; an epoch of training has whole steps.
        limit: steps of an epoch of training at most.
        begin: where training goes on. Its epoch leaves out what was drawn; `len` is that of a whole epoch all the same.
    """

    def __init__(
        self,
        sampler: EpochSampler,
        batch_size: int,
        parts: int = 1,
        *,
        limit: int | None = None,
        begin: Position = START,
    ) -> None:
        self.sampler, self.batch_size, self.parts, self.limit, self.begin = sampler, batch_size, parts, limit, begin
        # Lightning names the epoch only after worker processes were sent their first batches.
        sampler.set_epoch(begin.epoch)

    def set_epoch(self, epoch: int) -> None:
        self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        if not self.sampler.shuffle:
            return ceil(len(self.sampler) / self.batch_size)
        steps = len(self.sampler) // (self.batch_size * self.parts)
        # Too few pictures for a step are one all the same, as long as they last.
        batches = steps * self.parts or ceil(len(self.sampler) / self.batch_size)
        return batches if self.limit is None else min(batches, self.limit * self.parts)

    def __iter__(self) -> Iterator[Draws]:
        draws = self.sampler.draws()
        drawn = self.begin.drawn // self.sampler.share.world if self.sampler.epoch == self.begin.epoch else 0
        for start in range(drawn, len(self) * self.batch_size, self.batch_size):
            yield draws.part(slice(start, start + self.batch_size))
