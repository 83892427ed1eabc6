"""Shorter imports of large libraries."""

import contextlib
import gc
import sys
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quick_import(*unwanted: str) -> Iterator[None]:
    """Makes imports inside shorter: 5 s on a slow core for TensorFlow, 2 s for cma.

    Garbage collection would look again and again at many objects that all stay.

    unwanted: modules that a library imports if they are there, and can do without.
    """
    hidden = [name for name in unwanted if name not in sys.modules]
    collects = gc.isenabled()
    gc.disable()
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # Python's way to say that there is none
    try:
        with warnings.catch_warnings(action="ignore"):  # that they are missing
            yield
    finally:
        for name in hidden:
            del sys.modules[name]
        if collects:
            gc.enable()
