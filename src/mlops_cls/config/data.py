"""Settings of the data: which pictures, in which geometry, split how."""

import re
from dataclasses import dataclass

from mlops_cls.choices import BadPictures, Channels, CheckPolicy, Home, Resize, Sampling, SourceKind, SplitBy
from mlops_cls.rules import Problems, Section, bounded, unused

FOLD_IS_TEST = "with data.folds the test split is a fold"
EITHER = "choose data.split=stratified or group, or leave data.fold and data.folds out"

ALLOWED_SOURCES = {
    "digits": (SourceKind.local,),
    "folder": (SourceKind.local, SourceKind.dvc),
    "table": (SourceKind.local, SourceKind.dvc),
}
FROM_URL = {
    SourceKind.download: (("https://", "http://"), "https://HOST/FILE.zip"),
    SourceKind.gs: (("gs://",), "gs://BUCKET/FILE.zip"),
}


@dataclass(kw_only=True, slots=True)
class DataConfig(Section):
    """Which pictures, in which geometry, split how."""

    name: str = "digits"
    """The data set: digits, fmnist, seabed, skin_lesion, emotion, dog_breed, folder or table."""
    source: SourceKind = SourceKind.local
    """Whence the raw pictures come into root. local: they are there. download, gs: one archive, from url. kaggle, dvc:
    with those clients. synthetic: a small archive in the data set's own layout, to rehearse without it."""
    root: str | None = None
    """Where the raw pictures lie: a folder or zip (default data/NAME), or for `table` the CSV or Parquet file."""
    url: str | None = None
    """source=download: https://… of the zip. source=gs: gs://bucket/path of it."""
    sha256: str | None = None
    """What the zip of url must hash to; needed with source=download."""
    store: str = "prepared"
    """Folder that keeps prepared data sets; a second run finds its own there."""
    size: int | None = bounded(None, low=1)
    """Side of the square the network sees, in pixels; default: the pretrained network's, else near the data's."""
    resize: Resize = Resize.crop
    """Short side to size then centre crop, stretch both sides, or fit inside and pad with black."""
    channels: Channels = Channels.auto
    """Grey or RGB; auto: grey when every picture is grey."""
    split: SplitBy = SplitBy.auto
    """How train, val and test are made; auto: as shipped, else by group where there are groups, else stratified."""
    val_fraction: float | None = bounded(None, above=0, below=1)
    """Share of the pictures that go to val, where the data set ships without one (default 0.15); with folds, of those
    that the test fold leaves."""
    test_fraction: float | None = bounded(None, above=0, below=1)
    """Share of the pictures that go to test, where the data set ships without one (default 0.15)."""
    fold: int | None = None
    """Cross-validation: which of the folds is the test split, from 1; all of them: -m data.fold=1,2,3,4,5."""
    folds: int | None = None
    """Cross-validation: number of parts, at least 2, of which each picture is in one."""
    subsample: float = bounded(1.0, above=0, high=1)
    """Share of all pictures to use, drawn per class before the split."""
    seed: int = 0
    """Seed of subsample and split; apart from the run's seed, so that runs compare on the same test set."""
    on_bad: BadPictures = BadPictures.fail
    """What to do with unreadable files: fail and name them, or skip and count them."""
    check: CheckPolicy = CheckPolicy.fail
    """fail: refuse data whose splits leak, warn of other faults. warn: only warn. off: say nothing."""
    batch_size: int = bounded(64, low=1)
    """Pictures of a batch over all processes; trainer.accumulate of them make a step of the optimiser."""
    sampler: Sampling = Sampling.shuffle
    """What an epoch of training draws: shuffle every picture once, balanced as many but all classes equally often."""
    home: Home = Home.auto
    """Where pictures lie during training. disk: read as they are drawn, at memory that does not grow with them. memory:
    read whole once. device: on the GPU, which needs no loading at all. auto: device where train and val fit into a
    quarter of the free GPU memory and augmentation can run there, else disk."""
    workers: int | None = bounded(None, low=0)
    """Loader processes; default: none unless they augment pictures and cores are free."""
    path_column: str | None = None
    """Table only: column with the picture's path, relative to the table (default path)."""
    label_column: str | None = None
    """Table only: column with the class name (default label)."""
    split_column: str | None = None
    """Table only: column with train, val or test."""
    group_column: str | None = None
    """Table only: column whose equal values must stay in one split, such as a patient."""

    def problems(self) -> Problems:
        if self.name != "table":
            columns = "path_column label_column split_column group_column"
            yield from unused(self, "data", columns, f"only data=table reads columns, this is data={self.name}")
        yield from self._source_problems()
        if self.name in ("folder", "table") and self.root is None:
            yield f"data={self.name} needs data.root=PATH"
        if self.home is Home.device and self.workers:
            yield f"data.workers={self.workers} would not be used: with data.home=device there is nothing to load"
        yield from self._split_problems()

    def _source_problems(self) -> Problems:
        if self.name == "digits":
            yield from unused(self, "data", "root", "data=digits comes with scikit-learn")
        if self.source is SourceKind.synthetic:
            yield from unused(self, "data", "root", "data.source=synthetic writes its own pictures")
        allowed = ALLOWED_SOURCES.get(self.name, tuple(SourceKind))
        if self.source not in allowed:
            yield f"data.source={self.source} is impossible for data={self.name}: it takes {', '.join(allowed)}"
        if self.source not in FROM_URL:
            yield from unused(self, "data", "url sha256", f"data.source={self.source} reads none")
        else:
            yield from self._url_problems()

    def _url_problems(self) -> Problems:
        schemes, example = FROM_URL[self.source]
        if self.url is None:
            # Fashion-MNIST has mirrors that torchvision knows.
            if self.source is SourceKind.gs or self.name != "fmnist":
                yield f"data.source={self.source} needs data.url={example}"
            yield from unused(self, "data", "sha256", "there is no data.url")
        elif not self.url.startswith(schemes):
            yield f"data.url={self.url} is impossible with data.source={self.source}: it must be like {example}"
        elif "@" in self.url.partition("/")[2].lstrip("/").partition("/")[0]:
            yield "data.url holds a user name or password, which would end up in files: leave it out"
        elif self.source is SourceKind.download and self.sha256 is None:
            yield "data.url needs data.sha256=HEX, what the archive must hash to: sha256sum FILE.zip tells it"
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            yield f"data.sha256={self.sha256} is impossible: it is 64 digits and small letters a to f"

    def _split_problems(self) -> Problems:
        if (self.val_fraction or 0) + (self.test_fraction or 0) >= 1:
            fractions = f"data.val_fraction={self.val_fraction}, data.test_fraction={self.test_fraction}"
            yield f"{fractions}: nothing would be left to train on"
        yield from fold_problems(self.fold, self.folds)
        if self.folds is not None:
            yield from unused(self, "data", "test_fraction", f"{FOLD_IS_TEST}; say data.test_fraction=null")
        if self.folds is not None and self.split is SplitBy.shipped:
            yield f"data.split=shipped keeps the test split whole and data.folds={self.folds} divides it: {EITHER}"


def fold_problems(fold: int | None, folds: int | None) -> Problems:
    """Say what is wrong with a fold for the test split and a number of folds, if anything is."""
    if folds is not None and folds < 2:
        yield f"data.folds={folds} is impossible: it must be at least 2"
    elif fold is not None and folds is None:
        yield f"data.fold={fold} needs the number of folds, such as data.folds=5"
    elif folds is not None and fold is None:
        every = ",".join(map(str, range(1, folds + 1))) if folds <= 10 else f"range(1,{folds + 1})"
        yield f"data.folds={folds} needs the fold to test on, such as data.fold=1; all of them: -m data.fold={every}"
    elif fold is not None and folds is not None and not 1 <= fold <= folds:
        yield f"data.fold={fold} is impossible: it must be from 1 to data.folds={folds}"
