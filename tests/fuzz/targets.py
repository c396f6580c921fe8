"""Fuzz targets: functions of bytes, one for each reader of untrusted input.

A target suppresses the documented errors (`LenetError`; for the classifier also those of scikit-learn's protocol). Any
other exception is a defect. `scripts/fuzz`, `tests/test_fuzz.py` and atheris run the same targets.
"""

import contextlib
import functools
import gzip
import importlib
import io
import json
import os
import random
import struct
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
from fuzz.inputs import Bytes, generated
from layer_cases import CASES

import lenet5
from lenet5 import __main__ as commands
from lenet5 import datasets, show
from lenet5.datasets import from_csv, from_npz, load_idx_pair
from lenet5.datasets.idx import read_idx
from lenet5.errors import LenetError, LenetWarning
from lenet5.models import weights as storage
from lenet5.reproduce import jobs
from lenet5.run import build as runs
from lenet5.run import config
from lenet5.run import history as histories
from lenet5.training import callbacks, checkpoint

CORPUS = Path(__file__).parent / "corpus"
SECONDS = 2.0
MB = 1 << 20


@dataclass(frozen=True)
class Target:
    """Function of bytes, with the source of its inputs, and a cap on memory growth in bytes."""

    run: Callable[[bytes], None]
    corpus: str = ""
    tokens: tuple[bytes, ...] = ()
    cap: int = 64 * MB
    make: Callable[[random.Random], bytes] | None = None  # instead of a corpus

    @functools.cached_property
    def seeds(self) -> list[bytes]:
        files = sorted((CORPUS / self.corpus).iterdir()) if self.corpus else []
        return [file.read_bytes() for file in files]

    def input(self, rng: random.Random) -> bytes:
        return self.make(rng) if self.make else generated(rng, self.seeds, self.tokens)


TARGETS: dict[str, Target] = {}


def target(name, **options):
    def register(run):
        TARGETS[name] = Target(run, **options)
        return run

    return register


@functools.cache
def scratch() -> Path:
    """Return a temporary folder of this process, in memory if /dev/shm exists."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    folder = tempfile.TemporaryDirectory(prefix="lenet5-fuzz-", dir=memory)
    scratch.keep = folder  # keep the folder until the process ends
    return Path(folder.name)


def written(data: bytes, name: str) -> Path:
    path = scratch() / name
    path.write_bytes(data)
    return path


# IDX

LIMIT = 16 * MB


@target("idx", corpus="idx")
def idx(data):
    with contextlib.suppress(LenetError):
        array = read_idx(io.BytesIO(data), max_bytes=LIMIT)
        assert array.nbytes <= LIMIT and array.flags.c_contiguous and array.dtype.isnative
        mapped = read_idx(written(data, "x"), mmap=True)
        assert mapped.tobytes() == array.astype(mapped.dtype).tobytes()


@target("idx-gz", corpus="idx")
def idx_gz(data):
    """Read the bytes as they are if they are gzipped, otherwise gzip them first."""
    packed = data if data[:2] == b"\x1f\x8b" else gzip.compress(data, 1, mtime=0)
    with contextlib.suppress(LenetError):
        assert read_idx(io.BytesIO(packed), max_bytes=LIMIT).nbytes <= LIMIT


@target("idx-pair", corpus="idx-pair")
def idx_pair(data):
    """Read images and labels; the first two bytes are the offset of the labels."""
    cut = 2 + int.from_bytes(data[:2])
    with contextlib.suppress(LenetError):
        data_set = load_idx_pair(written(data[2:cut], "images"), written(data[cut:], "labels"))
        assert len(data_set.images) == len(data_set.labels) > 0
        assert data_set.labels.max() < data_set.num_classes


# Tables

HEADS = (
    b"label",
    b",",
    b";",
    b"\n",
    b"\t",
    b"0",
    b"255",
    b"256",
    b"1e400",
    b"nan",
    b"-1",
    b'"',
    b"\r\n",
    b"\xef\xbb\xbf",
)


@target("csv", corpus="csv", tokens=HEADS)
def csv_file(data):
    with contextlib.suppress(LenetError):
        train, test = from_csv(written(data, "x.csv"))
        assert len(train) and len(test) and train.classes == test.classes


@target("npz", corpus="npy")
def npz_file(data):
    """Read the bytes as an NPZ file, and as the images in an NPZ file with valid labels."""
    labels = io.BytesIO()
    np.save(labels, np.arange(4, dtype=np.uint8))
    for content in (data, packed({"images.npy": data, "labels.npy": labels.getvalue()})):
        with contextlib.suppress(LenetError):
            assert len(from_npz(written(content, "x.npz"))[0])


# Checkpoints and weights


@target("checkpoint", corpus="checkpoint")
def a_checkpoint(data):
    path = written(data, "x.npz")
    for read in (checkpoint.load, storage.read):
        with contextlib.suppress(LenetError):
            read(path)


def packed(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def as_npy(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@target("checkpoint-entry", corpus="npy", tokens=(b"-1", b"(", b",", b"True", b"99999999", b"'O'", b"'>f8'", b"'V9'"))
def checkpoint_entry(data):
    """Read the bytes as one array of a checkpoint with correct checksums."""
    note = np.frombuffer(b'{"format": 1}', np.uint8)
    path = written(packed({"parameter/a.npy": data, "meta.npy": as_npy(note)}), "x.npz")
    with contextlib.suppress(LenetError):
        checkpoint.load(path)


JSON = tuple(
    b'null true false 0 -1 1e999 NaN Infinity 1e308 99999999999999999999 "" "x" [] {} [[ {"a": , : } ] "\\ud800" \x00 '
    b'"name" "size" "classes" "channels" 65536 1000000000 "lenet5" "codes" "scale" "paper" "dtype" "float64"'.split(
        b" "
    )
)


def json_of(data):
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(data)
        if isinstance(value, dict):
            return value
    return {}


@target("weights-note", corpus="weights-note", tokens=JSON, cap=96 * MB)
def weights_note(data):
    """Read the bytes as the metadata of the shipped weights, with a correct SHA-256."""
    path = scratch() / "x.npz"
    with contextlib.suppress(ValueError):  # metadata that cannot be saved
        checkpoint.save(path, lenet5.pretrained().arrays(), json_of(data))
    with contextlib.suppress(LenetError):
        net = storage.read(path)[0]
        assert net.theta.size < 70_000


@functools.cache
def small_run():
    settings = config.from_dict(
        {"optimizer": "sgd", "loss": "softmax", "model": {"name": "lenet1", "init": "fan-in"}} | {"loss": "squared"}
    ).resolved()
    images = np.arange(4 * 28 * 28, dtype=np.uint8).reshape(4, 28, 28)
    data = datasets.Dataset(images, np.arange(4, dtype=np.uint8), "four", num_classes=10)
    hooks = [callbacks.Clock(), callbacks.EarlyStopping(3, monitor="train_error")]
    trainer = runs.make_trainer(settings, data, hooks=hooks)
    return trainer, data, trainer.state()[0]


RUN = (b'"epoch"', b'"position"', b'"history"', b'"random"', b'"callbacks"', b'"epoch"')


@target("run-note", corpus="run-note", tokens=JSON + RUN)
def run_note(data):
    """Resume from a checkpoint with the bytes as its metadata."""
    trainer, four, arrays = small_run()
    trainer.epoch = trainer.position = 0
    with contextlib.suppress(LenetError):
        trainer.load_state(arrays, json_of(data))
        trainer.fit(four, epochs=min(trainer.epoch, 3))


@functools.cache
def files_of_a_run() -> tuple[tuple[bytes, dict], ...]:
    """Return the checkpoint and the weights of a short run, each as bytes with its content."""
    settings = config.from_dict({}).resolved()
    data = datasets.load("digits")[0].subset(slice(20))
    folder, trainer = scratch(), runs.make_trainer(settings, data)
    trainer.callbacks.append(
        callbacks.Checkpoint(folder / checkpoint.NAME, meta=runs.meta(settings, trainer.net, data))
    )
    trainer.fit(data, epochs=1)
    storage.save(folder / "weights.npz", trainer.net, meta={"dataset": "digits"})
    paths = folder / checkpoint.NAME, folder / "weights.npz"
    return tuple((path.read_bytes(), content(path)) for path in paths)


def content(path):
    arrays, meta = checkpoint.load(path)
    return {name: (a.dtype.str, a.shape, a.tobytes()) for name, a in arrays.items()} | {"": json.dumps(meta)}


@target("bit-flips", make=lambda rng: struct.pack(">BIB", rng.randrange(2), rng.getrandbits(32), rng.randrange(8)))
def bit_flips(data):
    """Flip one bit of a run's checkpoint or weights; the bytes choose the file, the offset and the bit."""
    which, at, bit = struct.unpack(">BIB", data[:6].ljust(6, b"\0"))
    whole, expected = files_of_a_run()[which % 2]
    damaged = bytearray(whole)
    damaged[at % len(whole)] ^= 1 << bit % 8
    path = written(damaged, "flipped.npz")
    with contextlib.suppress(LenetError):
        assert content(path) == expected, "a flipped bit changed the loaded content without an error"


# Configurations, histories, records

TOML = tuple(
    b"[model] [loss] [optimizer] [a.b] [[a]] = . a.a.a.a \"\"\" ''' # name lr epochs true nan inf -inf 0x7fffffff "
    b"9999-12-31 {} [] [[[[ \" , 'lenet4' 'sdlm' seed batch_size 9223372036854775807 schedule every \n = \n".split(b" ")
)


@target("configuration", corpus="configuration", tokens=TOML + JSON)
def configuration(data):
    """Read a configuration: JSON if it begins with a brace, otherwise TOML."""
    path = written(data, "run.json" if data[:1] == b"{" else "run.toml")
    with contextlib.suppress(LenetError):
        settings = config.from_dict(config.read(path), where=str(path)).resolved()
        json.dumps(config.to_dict(settings))
        runs.make_loss(settings)


FIELDS = (b'"epoch"', b'"test_error"', b'"train_error"', b'"loss"', b"0.5", b'"dataset"', b'"mnist"', b'"model"')


@target("history", corpus="history", tokens=JSON + FIELDS, cap=128 * MB)
def history(data):
    """Read the bytes as a history file, and as epochs and (after a null byte) options in one with a correct SHA-256."""
    folder = scratch() / "run"
    folder.mkdir(exist_ok=True)
    first, _, second = data.partition(b"\0")
    try:
        about, passes = json.loads(second or b'{"dataset": "mnist", "model": {"name": "lenet5"}}'), json.loads(first)
        run = {"dataset": about["dataset"], "config": about}
        sealed = {"run": run, "epochs": passes, "sha256": histories.digest(run, passes)}
        files = [data, json.dumps(sealed).encode()]
    except (ValueError, KeyError, TypeError, RecursionError):
        files = [data]
    for content in files:
        written(content, "run/history.json")
        with contextlib.suppress(LenetError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            show.picture("learning-curves", {"run": str(folder)})


RECORD = (b'"config"', b'"distort"', b'"result"', b'"train_size"', b'"train_images"', b'"history"', b'"command"')


@target("record", corpus="record", tokens=JSON + FIELDS + RECORD, cap=128 * MB)
def record(data):
    """Read the bytes as the record of one run of a table, as the report and the picture of a sweep do."""
    folder = scratch() / "sweep"
    folder.mkdir(exist_ok=True)
    jobs.read_record(written(data, "sweep/x.json"))
    with contextlib.suppress(LenetError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        show.picture("training-size", {"run": str(folder)})


# Pictures


@target("picture", corpus="picture", cap=800 * MB)
def picture(data):
    with contextlib.suppress(LenetError):
        x = lenet5.prepare_digit(written(data, "picture"))
        assert x.shape == (1, 1, 32, 32) and np.isfinite(x).all()


def png(width: int, height: int, bits: int, kind: int, rows: bytes, zeros: int) -> bytes:
    """Return a PNG with the given header fields, whose data are `rows`, followed by `zeros` zero bytes."""
    pack = zlib.compressobj(1)  # in pieces: memory used here would count as the reader's
    body = pack.compress(rows) + b"".join(pack.compress(bytes(min(MB, zeros - k))) for k in range(0, zeros, MB))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)), (b"IDAT", body + pack.flush())]
    packed = [
        struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in [*chunks, (b"IEND", b"")]
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@target("picture-png", cap=800 * MB)
def picture_png(data):
    """Read a PNG with correct checksums; header and pixels vary."""
    source = Bytes(data)
    side = (0, 1, 2, 7, 28, 40, 500, 7000, 70_000, 2**31 - 1)
    width, height, bits, kind = (
        source.pick(side),
        source.pick(side),
        source.pick((8, 1, 16, 4)),
        source.pick((0, 2, 6, 4, 3)),
    )
    whole, rows = source.number(2), source.rest()
    cells = min(width * height, 50_000_000) * (1, 1, 3, 1, 2, 1, 4)[kind]
    zeros = cells * (bits // 8 or 1) + height % 100_000 if whole else 0
    picture(png(width, height, bits, kind, rows, zeros))


@target("picture-array")
def picture_array(data):
    source = Bytes(data)
    image = source.array() if source.number(8) else source.pick(ODD_PICTURES)
    with contextlib.suppress(LenetError), warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        x = lenet5.prepare_digit(image, invert=source.pick(("auto", True, False, None, "no", [], 7)))
        assert x.shape == (1, 1, 32, 32) and np.isfinite(x).all()


ODD_PICTURES = (None, [], [[1, [2]]], {}, b"", 7, "", "\0", [[0, 300]], [["a"]], object(), [[1.5, 2], [3, 4]])


# Commands


class _Parsed(BaseException):
    """Raised if a command has parsed its arguments and would start."""


def _begin(*args, **options):
    raise _Parsed


ACTIONS = (
    "lenet5.train.load_configured",
    "lenet5.evaluate.load_again",
    "lenet5.show.load_again",
    "lenet5.models.weights.read",
    "lenet5.models.weights.load",
    "lenet5.datasets.load",
    "lenet5.datasets.load_auto",
    "lenet5.show.picture",
    "lenet5.plots.save",
    "lenet5.demo.export",
    "lenet5.export.__main__.export",
)
WORDS = tuple(
    b"train evaluate predict show demo --epochs 3 --seed -1 --config --resume . --optimizer sgd --optimizer.lr nan inf "
    b"1e400 --model lenet4 --model.name --loss=map --quiet --help --json --image --port --open false --dataset digits "
    b"-- --threads 0 --data_dir /nowhere x.npz x.png kernels --stage C3 -o {} [] null ${x} @x '' --distort.scale 2 "
    b"!!python/x &a *a {a:b} --print_config --verify --batch-size 9999999999999999999999 --schedule cosine --version "
    b"- --o --out=".split(b" ")
)


@target("arguments", corpus="arguments", tokens=tuple(b"\n" + word for word in WORDS), cap=128 * MB)
def arguments(data):
    """Parse the arguments of a command, one per line, without running the command; the first is its name."""
    words = data.decode(errors="surrogateescape").split("\n")
    words = [word.replace("\0", "") for word in words if len(word) < 4096][:50] or [""]
    if words[0] in ("models", "reproduce"):
        return  # they call no function that could be replaced to stop them
    said = io.StringIO()
    with contextlib.ExitStack() as stack:
        for name in ACTIONS:  # import all before replacing any: modules keep the functions that they import
            importlib.import_module(name.rpartition(".")[0])
        for name in ACTIONS:
            stack.enter_context(mock.patch(name, _begin))
        stack.enter_context(contextlib.redirect_stdout(said))
        stack.enter_context(contextlib.redirect_stderr(said))
        try:
            assert commands.main(words) in (0, 1, 2, 3, 4)
        except _Parsed:
            pass
        except SystemExit as end:
            assert end.code in (0, None), f"exit code {end.code!r}"
    assert len(said.getvalue()) < 100_000


# Arrays for the classifier, the network and every layer

PARAMETERS = {
    "subsampling": ("trainable", "average", "max", "none", None, 7),
    "output": ("rbf", "softmax", "dense", "", None),
    "optimizer": ("sdlm", "sgd", "adam", "rmsprop", "adagrad", "x", None, []),
    "learning_rate": (None, 1e-3, 0.0, -1.0, float("nan"), 1e30, "fast"),
    "epochs": (1, 2, 0, -1, None, 1.5, "x"),
    "batch_size": (1, 2, 10**9, 0, -3, None, 1.5),
    "n_jobs": (None, 1, 2, -1, 0, 10**9, -(10**9), 1.5, "x"),
    "distort": (None, datasets.shift, 7),
    "random_state": (0, None, -1, 2**40, "x"),
}


@target("classifier", cap=512 * MB)  # its threads reserve more memory than they use
def classifier(data):
    source = Bytes(data)
    options = {name: source.pick(values) for name, values in PARAMETERS.items() if source.number(5) == 0}
    options.setdefault("epochs", 1)
    n = source.number(6)
    shape = source.pick(((n, 64), (n, 8, 8), (n, 1, 28, 28), (n, 5), None))
    x = source.array(shape)
    y = source.array((n,), source.pick(("i8", "U3", "f8", "?", "u1", "O"))) if source.number(4) else source.array()
    if source.number(3):  # in most cases, make images and labels valid except for one defect
        x = np.nan_to_num(
            np.resize(x if x.dtype.kind in "fiub" and x.size else np.eye(8), (n, 64)).astype("f4"), posinf=9, neginf=0
        )
    model = lenet5.LeNet5Classifier(**options)
    with contextlib.suppress(LenetError, ValueError, TypeError), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # scikit-learn warns about unusual labels
        if source.number(2):
            model.fit(x, y)
        else:
            model.partial_fit(x, y, classes=source.pick((None, [0, 1, 2], np.unique(y) if y.dtype != object else [])))
        p = model.predict_proba(x)
        assert np.isfinite(p).all() and np.abs(p.sum(axis=1) - 1).max() < 1e-3
        model.predict(source.array())


@functools.cache
def trained():
    return lenet5.pretrained()


@target("predict", cap=256 * MB)  # holds the feature maps of 256 images at a time
def predict(data):
    source = Bytes(data)
    shape = source.pick((None, (28, 28), (2, 28, 28), (1, 1, 32, 32), (2, 1, 32, 36), (1, 28, 28, 1), (0, 28, 28)))
    x = source.array(shape, source.pick((None, "u1", "f4", "f8")))
    net = trained()
    with contextlib.suppress(LenetError), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("ignore", LenetWarning)
        assert net.predict(x).dtype == np.int64
        assert np.isfinite(net.predict_proba(x)).all()
        net.outputs(x)
        if len(x):
            net.feature_maps(x)


@target("layers")
def layers(data):
    """Build any layer for any shape, and pass it any array."""
    source = Bytes(data)
    make, in_shape = CASES[source.pick(sorted(CASES))]
    layer = make()
    odd = source.number(16)
    if odd == 0:
        in_shape = source.pick(
            ((), (0,), (-1, 3, 3), None, 7, "abc", (2.5, 3, 3), (True,), (3, 4), (1,) * 5, ("a",), [2, 6, 6])
        )
    elif odd < 4:
        in_shape = tuple(source.number(11) for _ in range(source.pick((3, 1, 2, 4))))
    dtype = source.pick(("f4", "f8", "f2", "u1", "O", None, "x", 7, "c8")) if odd == 4 else source.pick(("f4", "f8"))
    rng = source.pick((None, 7, np.random)) if odd == 5 else np.random.default_rng(0)
    with contextlib.suppress(LenetError), np.errstate(all="ignore"):
        if odd != 6:
            layer.build(in_shape, dtype=dtype, rng=rng)
        for step in (layer.forward, layer.backward, layer.bbprop):
            like = layer.in_shape if step == layer.forward else layer.out_shape
            way = source.number(8)
            if way == 0:
                x = source.pick((None, [[1.0]], 7, "x", np.float32(3), np.zeros((), np.float32), object()))
            elif way == 1:
                x = source.array()
            elif way == 2:
                x = source.array((source.number(3), *like, source.number(3))[: 1 + len(like) + source.number(2)], dtype)
            else:
                x = source.array((1 + source.number(4), *like), dtype)
            step(x)


# Weights of other libraries


@functools.cache
def small():
    net = lenet5.Sequential(
        [lenet5.Conv2D(2, 3, name="C1"), lenet5.BatchNorm(), lenet5.Flatten(), lenet5.Dense(3, name="output")]
    )
    net.build((1, 6, 6))
    return net


@target("safetensors", corpus="safetensors", tokens=JSON)
def safetensors(data):
    """Load the bytes as a saved network, and as tensors that PyTorch saved."""
    path = written(data, "x.safetensors")
    with contextlib.suppress(LenetError):
        assert np.isfinite(lenet5.load(path).theta).all() or data
    with contextlib.suppress(LenetError):
        lenet5.interop.from_torch(path, small())


@target("keras", corpus="keras")
def keras(data):
    """Load the bytes as a .keras file or, if they are an HDF5 file, as a .weights.h5 file."""
    with contextlib.suppress(LenetError):
        lenet5.interop.from_keras(written(data, "x.keras"), small())
    assert np.isfinite(small().theta).all()


@target("torch", corpus="torch", cap=128 * MB)
def torch(data):
    with contextlib.suppress(LenetError):
        lenet5.interop.from_torch(written(data, "x.pt"), small())
    assert np.isfinite(small().theta).all()
