"""What a run tells a tracking service; but for `publishing`, nothing else imports wandb, tensorboard or mlflow."""

from mlops_cls.tracking.start import check_tracking, tracking
from mlops_cls.tracking.tracker import Tracker

__all__ = ["Tracker", "check_tracking", "tracking"]
