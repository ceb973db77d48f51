"""Ours and today's tools side by side, measured in one run: `python -m benchmarks`.

Times are read as ratios, on one thread; nothing here asserts a time.
"""

import os

# Before numpy is imported: BLAS reads these once.
os.environ.update(
    dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1")
)
