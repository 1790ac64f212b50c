"""Settings of tracking: who else hears of a run, and what is uploaded."""

import re
from dataclasses import dataclass

from mlops_cls.choices import LoggerName, Upload, WandbMode
from mlops_cls.rules import Problems, Section, bounded, unused

READ_BY = {
    LoggerName.wandb: "mode project entity group tags secret upload keep_versions registry",
    LoggerName.tensorboard: "",
    LoggerName.mlflow: "project uri",
    LoggerName.none: "",
}
EVERY_KEY = {key for keys in READ_BY.values() for key in keys.split()}


@dataclass(kw_only=True, slots=True)
class LoggerConfig(Section):
    """Who else hears of the run."""

    name: LoggerName = LoggerName.wandb
    """wandb, tensorboard, mlflow or none; metrics.csv is written in every case."""
    mode: WandbMode | None = None
    """auto (default): W&B online where there is a key, else offline."""
    project: str | None = None
    """W&B project or MLflow experiment (default mlops_cls)."""
    entity: str | None = None
    """W&B user or team (default: your own)."""
    group: str | None = None
    """W&B group of the run."""
    tags: list[str] | None = None
    """W&B tags of the run."""
    secret: str | None = None
    """Where the W&B key lies in Google Secret Manager: projects/P/secrets/S or projects/P/secrets/S/versions/V. It is
    read when the run starts and kept nowhere; default: WANDB_API_KEY, or what `wandb login` left."""
    upload: Upload | None = None
    """best (default): the best checkpoint goes to W&B as an artifact; last: the last one with it; none: neither."""
    keep_versions: int | None = bounded(None, low=1)
    """Newest versions of the run's model that W&B keeps (default 2); older ones stay with an alias or a link only."""
    registry: str | None = None
    """Collection of W&B's model registry to link the best checkpoint to, or REGISTRY/COLLECTION of another one."""
    uri: str | None = None
    """MLflow server or store (default: mlflow.db in the run folder)."""

    def problems(self) -> Problems:
        others = EVERY_KEY.difference(READ_BY[self.name].split())
        yield from unused(self, "logger", " ".join(sorted(others)), f"logger={self.name.value}")
        if self.mode is WandbMode.offline:
            yield from unused(self, "logger", "secret", "logger.mode=offline asks for no key")
        if self.upload is Upload.none:
            yield from unused(self, "logger", "keep_versions registry", "logger.upload=none")
        if self.secret is not None and not re.fullmatch(r"projects/[^/]+/secrets/[\w-]+(/versions/\w+)?", self.secret):
            yield (
                f"logger.secret={self.secret} names no secret: write projects/PROJECT/secrets/NAME, or that and "
                "/versions/NUMBER"
            )
        if self.registry is not None and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", self.registry):
            yield f"logger.registry={self.registry} names no collection: write COLLECTION or REGISTRY/COLLECTION"
