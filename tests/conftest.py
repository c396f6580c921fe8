"""LENET5_WITHOUT_NUMBA=1 runs the tests as where Numba is not installed."""

import os
import sys

if os.environ.get("LENET5_WITHOUT_NUMBA"):
    sys.modules["numba"] = None
