"""The W&B key: from the environment, W&B's login, or Google Secret Manager. It is handed on and kept nowhere."""

import netrc
import os
from urllib.parse import urlparse

from mlops_cls.tracking.secret import read_secret


def find_key(secret: str | None = None) -> str | None:
    """Return the key in `secret`, else the one that W&B itself would find, or None.

    Raises:
        ConfigError: the secret cannot be read; the message says why.
        ConnectionError: Secret Manager cannot be reached.
    """
    if secret is not None:
        return read_secret(secret)
    return os.environ.get("WANDB_API_KEY") or _from_login()


def base_url() -> str:
    """Return where the W&B server is."""
    return os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").rstrip("/")


def _from_login() -> str | None:
    """Return what `wandb login` wrote into the netrc file."""
    host = urlparse(base_url()).hostname or ""
    try:
        found = netrc.netrc(os.environ.get("NETRC")).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    return found[2] if found else None
