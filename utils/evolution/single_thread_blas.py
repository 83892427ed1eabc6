"""Import this before NumPy: linear algebra in this process then runs in one thread.

Ranks share the cores, and the last digits of CMA-ES must not depend on the number of cores.
"""

import os
import time

STARTED = time.monotonic()  # about when this process started

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
