"""Open a bundle's back end by its name, or the fastest one."""

from mlops_cls.backends.base import Backend
from mlops_cls.backends.fastest import find_fastest
from mlops_cls.backends.kinds import DEFAULT, KINDS, open_kind
from mlops_cls.bundle import Bundle
from mlops_cls.errors import unknown_name

AUTO = "auto"


def open_backend(bundle: Bundle, name: str = DEFAULT, *, threads: int | None = None) -> Backend:
    """Return what computes a bundle's answers; `auto` is the fastest here that answers alike.

    Args:
        bundle: whose model is to compute.
        name: of `KINDS`, or auto.
        threads: that compute one call; None: as many as there are cores.

    Raises:
        ArtifactError: the bundle has no 8-bit model, or the library cannot read it.
        ConfigError: no such back end, or it is not installed.
    """
    if name not in (*KINDS, AUTO):
        raise unknown_name("backend", name, [*KINDS, AUTO])
    return open_kind(bundle, find_fastest(bundle, threads=threads) if name == AUTO else name, threads=threads)
