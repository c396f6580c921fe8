"""Catalogue of the data sets that consist of four IDX files: names, shapes, hashes, classes and mirrors."""

import string
from dataclasses import dataclass

from .download import Remote

__all__ = ["FASHION", "MNIST", "SETS", "IdxFile", "IdxSet"]


@dataclass(frozen=True)
class IdxFile:
    """One IDX file of a data set: its name, array shape, size as a .gz file, and hashes (gzipped and unzipped).

    If the hash of the unzipped file is known, only that hash is checked, because the same content can be compressed to
    different .gz files. If no hash is published, only the shape and type of the array are checked.
    """

    name: str
    shape: tuple[int, ...]
    gz_size: int = 0
    gz_sha256: str = ""
    sha256: str | None = None
    gz_md5: str = ""

    @property
    def remote(self) -> Remote:
        """Name, size and hash of the gzipped file on a mirror."""
        return Remote(self.name + ".gz", self.gz_size, self.gz_sha256)

    @property
    def names(self) -> tuple[str, ...]:
        """All names that the file can have on disk."""
        dotted = self.name.replace("-idx", ".idx")
        return self.name, self.name + ".gz", dotted, dotted + ".gz"


@dataclass(frozen=True)
class IdxSet:
    """A data set of four IDX files: training images and labels, test images and labels.

    `classes` are the class names in the order of the labels, which start at `first_label`. If `transposed` is true,
    the files store the images with rows and columns swapped. A data set without mirrors is not downloaded; `home` is
    the address where users can get it.
    """

    name: str
    title: str
    folder: str
    inside: tuple[str, ...]
    mirrors: tuple[str, ...]
    files: tuple[IdxFile, IdxFile, IdxFile, IdxFile]
    classes: tuple[str, ...] = tuple(string.digits)
    first_label: int = 0
    transposed: bool = False
    home: str = ""
    system: str = ""

    @property
    def advice(self) -> str:
        """Advice on where to get the data set and where to put it."""
        names = ", ".join(file.name for file in self.files)
        home = f"Get it from {self.home}.\n" if self.home else ""
        return (
            f"{home}Put its four files, raw or .gz, in ./{self.folder} ({names}),\n"
            "or give their folder as data_dir (--data-dir on the command line) or $LENET5_DATA."
        )


MNIST = IdxSet(
    name="mnist",
    title="MNIST",
    folder="MNIST",
    inside=("mnist", "MNIST", "MNIST/raw", "raw"),  # the last two are torchvision's layout
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    files=(
        IdxFile(
            "train-images-idx3-ubyte",
            (60000, 28, 28),
            9912422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        IdxFile(
            "train-labels-idx1-ubyte",
            (60000,),
            28881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        IdxFile(
            "t10k-images-idx3-ubyte",
            (10000, 28, 28),
            1648877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte",
            (10000,),
            4542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
)

FASHION = IdxSet(
    name="fashion-mnist",
    title="Fashion-MNIST",
    folder="FashionMNIST",
    inside=("fashion-mnist", "FashionMNIST", "FashionMNIST/raw", "fashion", "raw"),
    mirrors=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
    files=(
        IdxFile(
            "train-images-idx3-ubyte",
            (60000, 28, 28),
            26421880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        IdxFile(
            "train-labels-idx1-ubyte",
            (60000,),
            29515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
        IdxFile(
            "t10k-images-idx3-ubyte",
            (10000, 28, 28),
            4422102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte",
            (10000,),
            5148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    system="/usr/share/datasets/fashion-mnist",  # folder of Debian's package dataset-fashion-mnist
)

KMNIST = IdxSet(
    name="kmnist",
    title="Kuzushiji-MNIST",
    folder="KMNIST",
    inside=("kmnist", "KMNIST", "KMNIST/raw", "raw"),
    mirrors=("https://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
    files=(
        IdxFile(
            "train-images-idx3-ubyte",
            (60000, 28, 28),
            18165135,
            "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
        ),
        IdxFile(
            "train-labels-idx1-ubyte",
            (60000,),
            29497,
            "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
        ),
        IdxFile(
            "t10k-images-idx3-ubyte",
            (10000, 28, 28),
            3041136,
            "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte",
            (10000,),
            5120,
            "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
        ),
    ),
    classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
)

# Only MD5 hashes of QMNIST are published. They identify a file, but do not make a download trustworthy.
QMNIST = IdxSet(
    name="qmnist",
    title="QMNIST",
    folder="QMNIST",
    inside=("qmnist", "QMNIST", "QMNIST/raw", "raw"),
    mirrors=(),
    files=(
        IdxFile("qmnist-train-images-idx3-ubyte", (60000, 28, 28), gz_md5="ed72d4157d28c017586c42bc6afe6370"),
        IdxFile("qmnist-train-labels-idx2-int", (60000, 8), gz_md5="0058f8dd561b90ffdd0f734c6a30e5e4"),
        IdxFile("qmnist-test-images-idx3-ubyte", (60000, 28, 28), gz_md5="1394631089c404de565df7b7aeaf9412"),
        IdxFile("qmnist-test-labels-idx2-int", (60000, 8), gz_md5="5b5b05890a5e13444e108efe57b788aa"),
    ),
    home="https://github.com/facebookresearch/qmnist",
)


def _emnist(part: str, train: int, test: int, classes: str, first_label: int = 0) -> IdxSet:
    """Return one of the EMNIST data sets (Cohen et al. 2017). A hash is published only for the archive of them all."""
    files = [
        IdxFile(f"emnist-{part}-{half}-{kind}-ubyte", shape)
        for half, n in (("train", train), ("test", test))
        for kind, shape in (("images-idx3", (n, 28, 28)), ("labels-idx1", (n,)))
    ]
    return IdxSet(
        name=f"emnist-{part}",
        title=f"EMNIST {part}",
        folder="EMNIST",
        inside=("emnist", "EMNIST", "EMNIST/raw", "gzip", "raw", "emnist/gzip", "EMNIST/gzip", "EMNIST/raw/gzip"),
        mirrors=(),
        files=(files[0], files[1], files[2], files[3]),
        classes=tuple(classes),
        first_label=first_label,
        transposed=True,
        home="https://www.nist.gov/itl/products-and-services/emnist-dataset (gzip.zip, 560 MB)",
    )


SETS = {
    known.name: known
    for known in (
        MNIST,
        FASHION,
        KMNIST,
        QMNIST,
        _emnist("digits", 240_000, 40_000, string.digits),
        _emnist("letters", 124_800, 20_800, string.ascii_uppercase, 1),
        # Letters whose upper and lower case look alike share one class, named after the upper-case letter.
        _emnist("balanced", 112_800, 18_800, string.digits + string.ascii_uppercase + "abdefghnqrt"),
        _emnist("mnist", 60_000, 10_000, string.digits),
    )
}
