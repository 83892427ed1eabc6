"""Processes that must not outlive the one that started them."""

import os
import threading
import time
from collections.abc import Callable


def end_with_parent(parent: int, wanted: Callable[[], bool] = lambda: True) -> None:
    """From now on ends this process, with exit code 1, once `parent` is gone or nobody wants it any more: a killed
    parent cannot tell its children."""

    def watch() -> None:
        while os.getppid() == parent and wanted():
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
