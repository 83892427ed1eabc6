"""Import this before NumPy: a rank's linear algebra then runs in one thread.

Ranks share the cores among them, and CMA-ES's last digits must not depend on how many there are.
"""

import os
import time

STARTED = time.monotonic()  # of this process, nearly

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
