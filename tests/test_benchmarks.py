"""The benchmarks run without other libraries and write their results. No times are asserted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(not (ROOT / "benchmarks").exists(), reason="not a checkout")
def test_lenet5_alone(tmp_path):
    words = ["--libraries", "lenet5", "--seconds", "0.01", "--threads", "1", "--json", str(tmp_path / "rows.json")]
    words += ["--plot", str(tmp_path / "bars.png")]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [(r["task"], r["batch"]) for r in rows] == [
        ("train", 1), ("train", 16), ("train", 64), ("train", 256), ("infer", 1), ("infer", 256),
    ]  # fmt: skip
    for row in rows:
        assert row["library"] == "lenet5" and row["threads"] == 1 and row["ratio_to_best_peer"] is None
        assert 0 < row["min"] <= row["median_us_per_sample"] <= row["max"]
    assert "| train, 256, 1 |" in done.stdout and (tmp_path / "bars.png").exists()


@pytest.mark.skipif(not (ROOT / "benchmarks").exists(), reason="not a checkout")
def test_the_profile_measures_every_layer(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import profile

    monkeypatch.setattr(profile, "median_us", lambda call: (call(), 1.0)[1])
    assert set(profile.layers()["C3"]) == {"forward", "backward"}
    rows = profile.compiled_layers()
    assert len(rows) == 13 and list(rows)[4] == "C3"
    assert {row["what"] for row in profile.scaling()} >= {"width, batch 64", "gradient of one batch"}
    assert "batch 32, 1 threads" in profile.threads(32, seconds=0)
    assert profile.peak_mb("-c", "x = b'x' * 50_000_000") > 50
