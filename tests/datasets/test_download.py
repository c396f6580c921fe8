import hashlib
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lenet5.datasets import download as fetch
from lenet5.datasets.download import Fetcher, MirrorError, Remote
from lenet5.errors import DownloadError

NAME = "t10k-labels-idx1-ubyte.gz"
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def remote(files):
    return Remote(NAME, len(files[NAME]), hashlib.sha256(files[NAME]).hexdigest())


def fetch_from(server, remote, *behaviours, folder="data"):
    return Fetcher("MNIST", [server.mirror(b) for b in behaviours]).fetch(remote, Path(folder))


@pytest.mark.parametrize("behaviour", ["good", "nolength", "slowly"])
def test_a_good_mirror_delivers(server, remote, files, behaviour):
    assert fetch_from(server, remote, behaviour) == server.mirror(behaviour) + NAME
    assert Path("data", NAME).read_bytes() == files[NAME]


REASONS = {
    "403": "HTTP 403",
    "loop": "more than 5 redirects",
    "404": "HTTP 404",
    "html503": "HTTP 503",
    "html200": "wrong size: expected {size} bytes, but the server reports 26",
    "short": "wrong size: expected {size} bytes, found {size_3}",
    "wrong": "wrong SHA-256: expected {sha256}, found ",
    "empty": "wrong size: expected {size} bytes, but the server reports 0",
    "endless": "wrong size: expected {size} bytes, found more",
    "broken": "connection lost: ",
    "redirect": "redirected to an address without https",
    "nonsense": "",
    "badlocation": "",
}


@pytest.mark.parametrize("behaviour", REASONS)
def test_the_next_mirror_is_tried_after_any_failure(server, remote, behaviour):
    assert fetch_from(server, remote, behaviour, "good") == server.mirror("good") + NAME
    assert os.listdir("data") == [NAME]


@pytest.mark.parametrize("behaviour", REASONS)
def test_a_failure_is_told_in_one_readable_block(server, remote, behaviour):
    with pytest.raises(DownloadError) as caught:
        fetch_from(server, remote, behaviour)
    [(url, reason)] = caught.value.attempts
    assert url == server.mirror(behaviour) + NAME
    expected = REASONS[behaviour].format(size=remote.size, size_3=remote.size - 3, sha256=remote.sha256)
    assert reason.startswith(expected) and "wrong SHA-256" not in reason.removeprefix(expected)
    assert 0 < len(reason) < 200 and "\n" not in reason
    assert url in str(caught.value) and reason in str(caught.value)
    assert os.listdir("data") == []


def test_an_endless_body_is_cut_off(server, remote):
    with pytest.raises(DownloadError):
        fetch_from(server, remote, "endless")
    time.sleep(0.1)
    assert server.sent < 50e6


def test_a_trickle_meets_the_time_limit(server, remote, monkeypatch):
    monkeypatch.setattr(fetch, "READ_SECONDS", 0.2)
    start = time.monotonic()
    with pytest.raises(DownloadError, match="too slow|time"):
        fetch_from(server, remote, "trickle")
    assert time.monotonic() - start < 1


def test_a_trickle_of_a_large_file_is_given_up_within_seconds(server, remote, monkeypatch):
    """A slow download stops soon, not after the time the whole file may take at the slowest accepted rate."""
    monkeypatch.setattr(fetch, "READ_SECONDS", 0.5)
    server.files = {NAME: bytes(10_000_000)}
    start = time.monotonic()
    with pytest.raises(DownloadError, match="too slow"):
        fetch_from(server, Remote(NAME, 10_000_000, remote.sha256), "trickle")
    assert time.monotonic() - start < 2


def test_a_connection_that_is_reset_at_every_kilobyte(server, remote):
    content = np.random.default_rng(0).bytes(21_600)
    server.files = {NAME: content}
    large = Remote(NAME, len(content), hashlib.sha256(content).hexdigest())
    for _ in range(20):
        with pytest.raises(DownloadError, match="connection lost|wrong size"):
            fetch_from(server, large, "reset")
        assert os.listdir("data") == []
    assert fetch_from(server, large, "reset", "good") == server.mirror("good") + NAME


def test_a_silent_answer_meets_the_time_limit(monkeypatch, remote):
    monkeypatch.setattr(fetch, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(fetch, "_open", lambda session, url: time.sleep(1))
    with pytest.raises(DownloadError, match="no answer within 0.05 s"):
        Fetcher("MNIST", ["https://mirror.invalid"]).fetch(remote, Path("data"))


@pytest.mark.parametrize("mirror", ["http://mirror.invalid/", "ftp://127.0.0.1/", "file:///etc/", "https://[/", "x"])
def test_other_addresses_than_https_are_refused(remote, mirror):
    with pytest.raises(MirrorError):
        Fetcher("MNIST", [mirror]).fetch(remote, Path("data"))


def test_an_unreachable_mirror_is_asked_once_and_a_reachable_one_again(server, remote):
    fetcher = Fetcher("MNIST", ["http://127.0.0.1:9/", server.mirror("wrong"), server.mirror("good")])
    for _ in range(2):
        Path("data", NAME).unlink(missing_ok=True)
        fetcher.fetch(remote, Path("data"))
    assert list(fetcher.unreachable.values()) == ["Connection refused"]
    assert len(server.asked) == 4


def test_a_right_file_is_kept_and_a_wrong_one_replaced(server, remote, files):
    fetch_from(server, remote, "good")
    fetch_from(server, remote, "good")
    assert len(server.asked) == 1
    Path("data", NAME).write_bytes(b"wrong")
    fetch_from(server, remote, "good")
    assert Path("data", NAME).read_bytes() == files[NAME]


def test_a_failed_download_leaves_the_old_file(server, remote):
    Path("data").mkdir()
    Path("data", NAME).write_bytes(b"old")
    with pytest.raises(DownloadError):
        fetch_from(server, remote, "wrong")
    assert Path("data", NAME).read_bytes() == b"old"


def test_a_folder_that_cannot_be_written_is_no_mirrors_fault(server, remote):
    Path("data").write_text("a file")
    with pytest.raises(DownloadError, match="cannot write .* to data"):
        fetch_from(server, remote, "good")


def test_two_processes_may_download_at_once(server, remote, files):
    code = (
        "import sys; from pathlib import Path; from lenet5.datasets.download import *\n"
        f"Fetcher('MNIST', [{server.mirror('slowly')!r}]).fetch({remote!r}, Path('data'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    processes = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(2)]
    assert [process.wait(timeout=30) for process in processes] == [0, 0]
    assert os.listdir("data") == [NAME] and Path("data", NAME).read_bytes() == files[NAME]


def test_nothing_is_printed(server, remote, capfd):
    Fetcher("MNIST", [server.mirror("good")], progress=True).fetch(remote, Path("data"))
    assert capfd.readouterr() == ("", "")


def test_a_bar_is_drawn_on_a_terminal(server, remote, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    Fetcher("MNIST", [server.mirror("good")], progress=True).fetch(remote, Path("data"))
    assert NAME in capsys.readouterr().err


def test_wrong_size_is_seen_before_the_hash(server, remote):
    with pytest.raises(DownloadError, match=f"expected {remote.size + 1} bytes"):
        fetch_from(server, replace(remote, size=remote.size + 1), "nolength")
