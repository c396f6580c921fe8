"""Runs with MPI: bit-identical for any number of ranks, stopped if a rank dies, resumed with other numbers of ranks."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lenet5 import train
from lenet5.run import history
from lenet5.training import checkpoint
from lenet5.training.tree_sum import Sum, blocks_of

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
mpi = pytest.mark.skipif(MPIEXEC is None, reason="needs mpiexec: pip install mpich")
RUN = ["--dataset", "digits", "--train-size", "700", "--epochs", "2"]


@pytest.mark.parametrize("terms", [1, 2, 3, 7, 8, 13])
@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 16])
def test_sums_have_the_same_bits_whoever_adds(terms, ranks):
    vectors = np.random.default_rng(terms).standard_normal((terms, 50)).astype(np.float32)
    alone = Sum(np.empty(50, np.float32))
    for k, vector in enumerate(vectors):
        alone.add(k, vector)
    alone.finish()
    np.testing.assert_allclose(alone.total, vectors.astype(np.float64).sum(0), rtol=1e-4, atol=1e-5)
    together = Sum(np.empty(50, np.float32))
    for rank in range(ranks):
        share, own = range(rank * terms // ranks, (rank + 1) * terms // ranks), Sum(np.empty(50, np.float32))
        for k in share:
            own.add(k, vectors[k])
        assert [block[:2] for block in own.blocks] == blocks_of(share)
        for first, size, block in own.blocks:
            together.add(first, block, size)
    together.finish()
    assert together.total.tobytes() == alone.total.tobytes()


def test_a_sum_takes_its_room_once():
    """A sum reuses its buffers, and does not depend on its previous content."""
    vectors = np.random.default_rng(0).standard_normal((9, 50))
    sums = Sum(np.full(50, np.nan))
    for _ in range(2):
        sums.clear()
        for k, vector in enumerate(vectors):
            sums.add(k, vector)
        sums.finish()
        rooms = len(sums._free)
    assert rooms == len(sums._free) <= 4
    np.testing.assert_allclose(sums.total, vectors.sum(0))


def mpiexec(ranks, *options, **more):
    words = [
        MPIEXEC,
        "-n",
        str(ranks),
        sys.executable,
        "-m",
        "lenet5.train",
        "--distributed",
        "mpi",
        *map(str, options),
    ]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def finished(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def bits(folder):
    arrays = checkpoint.load(folder / "checkpoint.npz")[0]
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in history.read(folder)[1]]
    return {name: array.tobytes() for name, array in arrays.items()}, rows


@mpi
@pytest.mark.parametrize(
    ("ranks", "options"),
    [
        (1, ["--batch-size", "256"]),
        (2, ["--batch-size", "64"]),
        (4, ["--batch-size", "256"]),
        (2, ["--batch-size", "1"]),
        (3, ["--batch-size", "200", "--model", "d2l", "--model.dropout", "0.3", "--validation-split", "0.1"]),
        (2, ["--batch-size", "64", "--model", "d2l", "--model.norm", "true"]),
    ],
    ids=["one rank", "64", "256", "1", "dropout", "batch norm"],
)
def test_ranks_give_the_bits_of_one_process(tmp_path, ranks, options):
    assert train.run([*RUN, *options, "--quiet", "--out", str(tmp_path / "one")]) == 0
    code, out, err = finished(mpiexec(ranks, *RUN, *options, "--out", tmp_path / "many"))
    warned = "norm" in " ".join(options)  # one rank warns that batch normalisation is not compiled in training
    assert code == 0 and err.count("\n") == err.count("No compiled version") == warned, err
    assert out.count("epoch  1/2") == out.count("test error") == 1  # only one rank prints
    assert bits(tmp_path / "one") == bits(tmp_path / "many")
    assert history.read(tmp_path / "many")[0]["starts"][0]["ranks"] == ranks
    assert {p.name for p in (tmp_path / "many").iterdir()} == {p.name for p in (tmp_path / "one").iterdir()}


@mpi
def test_a_rank_that_dies_ends_the_job_and_others_go_on(tmp_path):
    options = [*RUN, "--batch-size", "64", "--checkpoint-minutes", "0", "--epochs", "40"]
    assert train.run([*options, "--quiet", "--out", str(tmp_path / "one")]) == 0
    process = mpiexec(2, *options, "--out", tmp_path / "many")
    while not (tmp_path / "many" / "history.json").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    children = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _is_rank(int(pid), tmp_path / "many", "1")]
    assert len(children) == 1
    os.kill(children[0], signal.SIGKILL)
    code, _, err = finished(process)
    assert code != 0 and "a rank has died" in err and f"--resume {tmp_path / 'many'}" in err and "Traceback" not in err
    code, out, err = finished(mpiexec(3, "--resume", tmp_path / "many"))
    assert code == 0 and "resuming after" in out, err
    assert bits(tmp_path / "one") == bits(tmp_path / "many")


def _is_rank(pid, folder, rank):
    try:
        words, values = (Path(f"/proc/{pid}/{name}").read_bytes().split(b"\0") for name in ("cmdline", "environ"))
    except OSError:
        return False
    return str(folder).encode() in words and f"PMI_RANK={rank}".encode() in values and b"-c" not in words


@mpi
def test_stopped_by_a_signal_all_stop_at_the_same_update(tmp_path):
    options = [*RUN, "--batch-size", "64", "--epochs", "60"]
    process = mpiexec(2, *options, "--out", tmp_path / "many")
    while not (tmp_path / "many" / "history.json").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    for pid in [int(pid) for pid in os.listdir("/proc") if pid.isdigit()]:
        if _is_rank(pid, tmp_path / "many", "0"):
            os.kill(pid, signal.SIGTERM)
    code, _, err = finished(process)
    assert code == 143 and "saved. Continue with" in err
    assert train.run(["--resume", str(tmp_path / "many"), "--quiet"]) == 0
    assert train.run([*options, "--quiet", "--out", str(tmp_path / "one")]) == 0
    assert bits(tmp_path / "one") == bits(tmp_path / "many")


@mpi
def test_ranks_that_do_not_answer_end_the_run_with_a_checkpoint(tmp_path):
    options = [*RUN, "--batch-size", "64", "--epochs", "60"]
    # The timeout must be longer than a rank takes to compile at the start on a busy machine.
    process = mpiexec(2, *options, "--distributed-timeout", "8", "--out", tmp_path / "many")
    while not (tmp_path / "many" / "history.json").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    (other,) = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _is_rank(int(pid), tmp_path / "many", "1")]
    os.kill(other, signal.SIGSTOP)  # simulates a machine without network
    begun = time.monotonic()
    code, _, err = finished(process)
    assert code != 0 and time.monotonic() - begun < 60
    assert err.count("no response from other ranks for 8 s") == 1 and "Traceback" not in err
    assert f"--resume {tmp_path / 'many'}" in err
    assert train.run(["--resume", str(tmp_path / "many"), "--quiet"]) == 0
    assert train.run([*options, "--quiet", "--out", str(tmp_path / "one")]) == 0
    assert bits(tmp_path / "one") == bits(tmp_path / "many")


@mpi
def test_an_error_ends_all_ranks_and_is_said_once(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    code, _, err = finished(mpiexec(2, *RUN, "--out", tmp_path / "run"))
    assert code == 2 and err.count("already contains a run") == 1 and "Traceback" not in err
