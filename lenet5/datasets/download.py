"""Download files: try mirrors in turn, and verify the size and SHA-256 of every file before use.

pooch writes to a temporary file in the target folder, compares the hash, and only then renames the file. A file under
its final name is therefore complete and correct, even if downloads are interrupted or run concurrently.
"""

import logging
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

from ..errors import DownloadError

__all__ = ["Fetcher", "MirrorError", "Remote"]

CONNECT_SECONDS = 5.0
READ_SECONDS = 8.0
ANSWER_SECONDS = 10.0  # limit for name look-up, connection attempts, TLS, redirects and headers together
SLOWEST = 20_000  # bytes per second; a mirror that falls READ_SECONDS behind this rate is abandoned
REDIRECTS = 5
CHUNK = 2**16

T = TypeVar("T")


@dataclass(frozen=True)
class Remote:
    """A file to download: its name on every mirror, its size in bytes and its SHA-256."""

    name: str
    size: int
    sha256: str


class MirrorError(DownloadError):
    """Raised if no mirror delivered a file.

    Attributes
    ----------
    attempts : list of (str, str)
        Each address tried, with the reason for its failure.
    """

    def __init__(self, message: str, attempts: Sequence[tuple[str, str]] = ()):
        super().__init__(message)
        self.attempts = list(attempts)


class Fetcher:
    """Fetch files from a list of mirrors, and skip mirrors that could not be reached for an earlier file.

    Parameters
    ----------
    title : str
        Name of the data set in messages.
    mirrors : sequence of str
        Base addresses, tried in order: https, or http://127.0.0.1 for test servers.
    progress : bool
        Whether to show a progress bar on a terminal.
    """

    def __init__(self, title: str, mirrors: Sequence[str], *, progress: bool = False):
        self.title = title
        self.mirrors = [mirror.rstrip("/") + "/" for mirror in mirrors]
        self.progress = progress
        self.unreachable: dict[str, str] = {}

    def fetch(self, remote: Remote, folder: Path) -> str:
        """Download `remote` into `folder` and verify it, unless the correct file is already there.

        Returns
        -------
        str
            Address of the file; if the file was already there, its address on the first mirror.

        Raises
        ------
        MirrorError
            If no mirror delivered the file, or the folder cannot be written.
        """
        import pooch

        attempts = []
        for mirror in self.mirrors:
            url = mirror + remote.name
            if mirror in self.unreachable:
                attempts.append((url, self.unreachable[mirror]))
                continue
            download = _Download(remote, self.progress)
            logger = pooch.get_logger()
            level = logger.level
            logger.setLevel(logging.WARNING)  # pooch would log every download to stderr
            try:
                pooch.retrieve(url, remote.sha256, fname=remote.name, path=folder, downloader=download)
                return url
            except _MirrorFailed as failure:
                attempts.append((url, failure.reason))
                if not failure.reached:
                    self.unreachable[mirror] = failure.reason
            except ValueError:  # raised by pooch if the hash differs
                reason = f"wrong SHA-256: expected {remote.sha256}, found {download.sha256}"
                attempts.append((url, reason))
            except OSError as error:
                reason = error.strerror or str(error)
                message = f"{self.title}: cannot write {remote.name} to {folder}: {reason}"
                raise MirrorError(message, attempts) from error
            finally:
                logger.setLevel(level)
        lines = [f"{self.title} could not be downloaded: no mirror delivered {remote.name}"]
        lines += [f"  {url}\n    {reason}" for url, reason in attempts]
        raise MirrorError("\n".join(lines), attempts)


class _MirrorFailed(Exception):
    def __init__(self, reason: str, *, reached: bool = True):
        super().__init__(reason)
        self.reason, self.reached = reason, reached


class _Download:
    """Downloader for pooch with limits on size and time; sets `sha256` to the hash of the downloaded data."""

    def __init__(self, remote: Remote, progress: bool):
        self.remote, self.progress = remote, progress
        self.sha256 = ""

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        import hashlib

        from tqdm import tqdm

        sha256, size, found = hashlib.sha256(), self.remote.size, 0
        bar = tqdm(
            total=size,
            desc=self.remote.name,
            unit="B",
            unit_scale=True,
            disable=not (self.progress and sys.stderr.isatty()),
        )
        with open(output_file, "wb") as file, bar:
            for chunk in self.chunks(url):
                found += len(chunk)
                if found > size:
                    raise _MirrorFailed(f"wrong size: expected {size} bytes, found more")
                file.write(chunk)
                sha256.update(chunk)
                bar.update(len(chunk))
        if found != size:
            raise _MirrorFailed(f"wrong size: expected {size} bytes, found {found}")
        self.sha256 = sha256.hexdigest()

    def chunks(self, url: str) -> Iterator[bytes]:
        """Yield the body of the response as it arrives; raise `_MirrorFailed` if the server fails."""
        import requests
        import urllib3

        # Invalid addresses, whether given or reached by a redirect, raise ValueError.
        network = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError)
        size, found, start = self.remote.size, 0, time.monotonic()
        with requests.Session() as session:
            try:
                response = _within(ANSWER_SECONDS, lambda: _open(session, url))
            except network as error:
                raise _MirrorFailed(_reason(error), reached=False) from error
            with response:
                declared = response.headers.get("Content-Length", "")
                if declared.isdigit() and int(declared) != size:
                    raise _MirrorFailed(f"wrong size: expected {size} bytes, but the server reports {declared}")
                # read1 does not wait for a full chunk, so the time limit also holds for slow streams (urllib3 2).
                read: Callable[[int], bytes] = getattr(response.raw, "read1", response.raw.read)
                while True:
                    try:
                        chunk = read(CHUNK)
                    except network as error:
                        raise _MirrorFailed(f"connection lost: {_reason(error)}") from error
                    if not chunk:
                        return
                    found += len(chunk)
                    if time.monotonic() - start > READ_SECONDS + found / SLOWEST:
                        raise _MirrorFailed(f"too slow: expected at least {SLOWEST // 1000} kB/s")
                    yield chunk


def _open(session: Any, url: str) -> Any:
    """GET `url`; follow redirects only to https addresses, or within a local test server."""
    if not _allowed(url, url):
        raise _MirrorFailed("not an https address")
    for _ in range(1 + REDIRECTS):
        response = session.get(
            url,
            stream=True,
            allow_redirects=False,
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            headers={"Accept-Encoding": "identity"},  # the published hash is that of the file as stored, not decoded
        )
        if response.is_redirect:
            before, url = url, urljoin(url, response.headers["Location"])
            response.close()
            if not _allowed(url, before):
                raise _MirrorFailed(f"redirected to an address without https: {url[:100]}")
            continue
        if response.status_code != 200:
            response.close()
            raise _MirrorFailed(f"HTTP {response.status_code} {str(response.reason)[:60]}".rstrip())
        return response
    raise _MirrorFailed(f"more than {REDIRECTS} redirects")


def _allowed(url: str, before: str) -> bool:
    local = all((urlsplit(u).scheme, urlsplit(u).hostname) == ("http", "127.0.0.1") for u in (url, before))
    return urlsplit(url).scheme == "https" or local


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Return `call()`, but give up after `seconds`, because name look-ups ignore socket time-outs."""
    outcome: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put((call(), None))
        except BaseException as error:  # noqa: B036 - passed on to the waiting thread
            outcome.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = outcome.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


def _reason(error: BaseException) -> str:
    """Return a short description of a network error, from the root cause of its exception chain."""
    import requests

    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:g} s"
    root: BaseException = error
    while deeper := root.__cause__ or (None if root.__suppress_context__ else root.__context__):
        root = deeper
    text = (getattr(root, "strerror", None) or str(root) or type(root).__name__).splitlines()[0][:120]
    return f"host name not found: {text}" if isinstance(root, socket.gaierror) else text
