"""With LENET5_WITHOUT_NUMBA=1 the tests run as if Numba were not installed."""

import os
import sys

if os.environ.get("LENET5_WITHOUT_NUMBA"):
    sys.modules["numba"] = None
