"""Fixtures: a small MNIST of 30 training and 10 test images, and a server on 127.0.0.1 that misbehaves on demand."""

import gzip
import hashlib
import http.server
import os
import socket
import struct
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lenet5.datasets.catalog import MNIST, SETS, IdxFile
from lenet5.datasets.idx import write_idx

REAL = os.environ.get("LENET5_DATA")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Isolate tests from the user's data and cache, and from real mirrors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LENET5_DATA", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache")
    for name, known in list(SETS.items()):
        dead = ("http://127.0.0.1:9/",) if known.mirrors else ()
        monkeypatch.setitem(SETS, name, replace(known, mirrors=dead, system=""))


@pytest.fixture(scope="session")
def real_mnist():
    from lenet5.datasets import load
    from lenet5.errors import DataError

    if not REAL:
        pytest.skip("LENET5_DATA is not set")
    try:
        return load("mnist", REAL, download=False)
    except DataError as error:
        pytest.skip(f"no MNIST in LENET5_DATA: {error}")


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """The four .gz files of the small MNIST: name -> bytes."""
    folder, rng = tmp_path_factory.mktemp("small"), np.random.default_rng(0)
    arrays = {
        "train-images-idx3-ubyte": rng.integers(0, 256, (30, 28, 28), dtype=np.uint8),
        "train-labels-idx1-ubyte": np.arange(30, dtype=np.uint8) % 10,
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (10, 28, 28), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": np.arange(10, dtype=np.uint8),
    }
    for name, array in arrays.items():
        write_idx(folder / (name + ".gz"), array)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def known(files):
    """The small MNIST as a catalogue entry, whose only mirror does not work."""
    small = []
    for file in MNIST.files:
        zipped = files[file.name + ".gz"]
        raw = gzip.decompress(zipped)
        shape = (30 if "train" in file.name else 10, *file.shape[1:])
        sha256 = hashlib.sha256(zipped).hexdigest(), hashlib.sha256(raw).hexdigest()
        small.append(IdxFile(file.name, shape, len(zipped), *sha256))
    return replace(MNIST, files=tuple(small), mirrors=("http://127.0.0.1:9/",))


@pytest.fixture
def put(files):
    """Function that writes the small MNIST into a folder, gzipped or not."""

    def put(folder, *, zipped=True, dotted=False):
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            name = name if zipped else name.removesuffix(".gz")
            name = name.replace("-idx", ".idx") if dotted else name
            (folder / name).write_bytes(content if zipped else gzip.decompress(content))
        return folder

    return put


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves files at /<behaviour>/<file>."""

    protocol_version = "HTTP/1.0"

    def do_GET(self):
        _, behaviour, name = self.path.split("/")
        self.server.asked.append(self.path)
        content = self.server.files.get(name)
        if content is None or behaviour == "404":
            self.send_error(404)
            return
        send = getattr(self, "do_" + behaviour)
        send(content)

    def log_message(self, *args):
        pass

    def body(self, content, status=200, length=True):
        self.send_response(status)
        if length:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_good(self, content):
        self.body(content)

    def do_nolength(self, content):
        self.body(content, length=False)

    def do_slowly(self, content):
        self.send_response(200)
        self.end_headers()
        half = len(content) // 2
        self.wfile.write(content[:half])
        time.sleep(0.3)
        self.wfile.write(content[half:])

    def do_html503(self, content):
        self.body(b"<html>busy</html>", 503)

    def do_html200(self, content):
        self.body(b"<html>please log in</html>")

    def do_short(self, content):
        self.body(content[:-3], length=False)

    def do_wrong(self, content):
        self.body(content[:-1] + bytes([content[-1] ^ 1]))

    def do_empty(self, content):
        self.body(b"")

    def do_endless(self, content):
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(bytes(65536))
                self.server.sent += 65536
        except OSError:
            pass

    def do_trickle(self, content):
        self.send_response(200)
        self.end_headers()
        try:
            for byte in content:
                self.wfile.write(bytes([byte]))
                time.sleep(0.02)
        except OSError:
            pass

    def do_broken(self, content):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])

    def do_redirect(self, content):
        self.send_response(302)
        self.send_header("Location", "ftp://127.0.0.1" + self.path.replace("redirect", "good"))
        self.end_headers()

    def do_loop(self, content):
        self.send_response(301)
        self.send_header("Location", self.path)
        self.end_headers()

    def do_403(self, content):
        self.body(b"<html>no</html>", 403)

    def do_reset(self, content):
        """Send one kilobyte more at every request, then reset the connection."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: 1024 * self.server.asked.count(self.path)])
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def do_nonsense(self, content):
        self.wfile.write(b"SSH-2.0-OpenSSH\r\n")

    def do_badlocation(self, content):
        self.send_response(302)
        self.send_header("Location", "https://[")
        self.end_headers()


@pytest.fixture
def server(files):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.asked, server.sent = files, [], 0
    server.mirror = lambda behaviour: f"http://127.0.0.1:{server.server_port}/{behaviour}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
