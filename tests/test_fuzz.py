"""Untrusted input: run the targets of tests/fuzz on their seeds and a few hundred inputs; `scripts/fuzz` runs more."""

import random

import pytest
from fuzz import targets
from fuzz.targets import TARGETS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lenet5

# Targets that take tens of milliseconds per input.
SLOW = (
    "arguments",
    "bit-flips",
    "classifier",
    "history",
    "keras",
    "picture-png",
    "predict",
    "record",
    "weights-note",
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LENET5_DATA", raising=False)


NEEDED = {"keras": "h5py", "torch": "torch", "safetensors": "safetensors"}


def skip_without_library(name):
    if name in NEEDED:
        pytest.importorskip(NEEDED[name])


@pytest.mark.parametrize("name", TARGETS)
def test_seeds(name):
    skip_without_library(name)
    for data in TARGETS[name].seeds:
        TARGETS[name].run(data)


@pytest.mark.parametrize("name", TARGETS)
def test_made_of_seeds(name):
    skip_without_library(name)
    target, rng = TARGETS[name], random.Random(name)
    for _ in range(40 if name in SLOW else 200):
        target.run(target.input(rng))


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes(name):
    skip_without_library(name)

    @settings(
        max_examples=20 if name in SLOW else 200,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.binary(max_size=500))
    def check(data):
        TARGETS[name].run(data)

    check()


def test_a_target_notices_what_is_not_promised(monkeypatch):
    monkeypatch.setattr(targets, "read_idx", lambda *args, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        TARGETS["idx"].run(b"")


def test_inputs_repeat():
    for target in TARGETS.values():
        assert target.input(random.Random(5)) == target.input(random.Random(5))


def test_seeds_are_small_and_all_used():
    assert {target.corpus for target in TARGETS.values()} - {""} == {path.name for path in targets.CORPUS.iterdir()}
    assert all(path.stat().st_size < 20_000 for path in targets.CORPUS.rglob("*") if path.is_file())
    assert lenet5.LenetError is targets.LenetError
