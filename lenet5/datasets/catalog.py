"""The files of MNIST and Fashion-MNIST: names, shapes, sizes, SHA-256, and who serves them."""

from dataclasses import dataclass

from .download import Remote

__all__ = ["FASHION", "MNIST", "IdxFile", "IdxSet"]


@dataclass(frozen=True)
class IdxFile:
    """One file of a set: its raw name, its shape, the size and SHA-256 of its .gz, the SHA-256 unzipped.

    The unzipped hash is the truth where it is known: a file zipped anew has another .gz hash.
    """

    name: str
    shape: tuple[int, ...]
    gz_size: int
    gz_sha256: str
    sha256: str | None = None

    @property
    def remote(self) -> Remote:
        """The file as mirrors serve it."""
        return Remote(self.name + ".gz", self.gz_size, self.gz_sha256)

    @property
    def names(self) -> tuple[str, ...]:
        """The names the file goes by on disk."""
        dotted = self.name.replace("-idx", ".idx")
        return self.name, self.name + ".gz", dotted, dotted + ".gz"


@dataclass(frozen=True)
class IdxSet:
    """A set of four IDX files: train images and labels, test images and labels."""

    name: str
    title: str
    folder: str
    inside: tuple[str, ...]
    mirrors: tuple[str, ...]
    files: tuple[IdxFile, IdxFile, IdxFile, IdxFile]

    @property
    def advice(self) -> str:
        """What to do where the set cannot be had."""
        names = ", ".join(file.name for file in self.files)
        return (
            f"Put its four files, raw or .gz, in ./{self.folder} ({names}),\n"
            "or name their folder with data_dir (on the command line --data-dir) or $LENET5_DATA."
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

# No SHA-256 of the unzipped Fashion files is published: raw ones are checked by their shape alone.
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
        ),
        IdxFile(
            "train-labels-idx1-ubyte",
            (60000,),
            29515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        IdxFile(
            "t10k-images-idx3-ubyte",
            (10000, 28, 28),
            4422102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte",
            (10000,),
            5148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
)
