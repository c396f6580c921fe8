"""Run the tests as if Numba were not installed, if LENET5_WITHOUT_NUMBA=1 is set."""

import os
import sys

if os.environ.get("LENET5_WITHOUT_NUMBA"):
    sys.modules["numba"] = None
