"""Download the four MNIST files into a folder, verified and unzipped: python MNIST_auto_Download.py."""

import argparse
import sys
from collections.abc import Sequence

from lenet5.datasets import download_mnist
from lenet5.errors import DownloadError, LenetError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 if all four files are there, 2 for bad usage, 3 if a file is missing."""
    parser = argparse.ArgumentParser(
        description="Download MNIST, verify it, and unzip it. Correct files that are already there are kept."
    )
    parser.add_argument(
        "--data-dir", default="MNIST", metavar="FOLDER", help="folder for the files (default: %(default)s)"
    )
    parser.add_argument(
        "--mirror",
        action="append",
        metavar="URL",
        help="HTTPS address of the folder with the four .gz files, instead of the default mirrors; may be repeated",
    )
    options = parser.parse_args(argv)
    try:
        download_mnist(options.data_dir, options.mirror, progress=True, say=print)
    except LenetError as error:
        print(f"error: {error}", file=sys.stderr)
        if isinstance(error, DownloadError):
            print("Give another address with --mirror, or put the four .gz files", file=sys.stderr)
            print(f"into {options.data_dir} yourself and run this again.", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; run the command again to resume", file=sys.stderr)
        return 130
    print(f"MNIST is complete in {options.data_dir}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
