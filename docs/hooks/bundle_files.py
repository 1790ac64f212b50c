"""The files of a bundle, as the module that reads them lists them."""

import inspect

from writing import block

from mlops_cls import bundle


def listed() -> str:
    """Return the tree of a bundle."""
    _, _, files = inspect.cleandoc(bundle.__doc__ or "").partition("\n\n")
    return block("text", files)
