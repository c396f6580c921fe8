import subprocess
import sys
from pathlib import Path

HEAVY = {"pooch", "requests", "tqdm", "platformdirs", "PIL", "sklearn", "matplotlib"}


def test_importing_the_data_sets_is_light():
    code = "import lenet5.datasets, sys; print(*sys.modules)"
    repository = Path(__file__).parents[2]
    loaded = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(loaded.stdout.split())
