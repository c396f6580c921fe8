"""CSV and NPZ files, arrays and data frames; training from each is bit-identical."""

import gzip

import numpy as np
import pytest
from PIL import Image

import lenet5
from lenet5 import Dataset, datasets, predict, train
from lenet5.datasets import from_arrays, from_csv, from_npz, load, write_idx
from lenet5.errors import DataError


class Frame:
    """Stands for a pandas data frame."""

    def __init__(self, values, columns):
        self.values, self.columns = np.asarray(values), list(columns)

    def __getitem__(self, key):
        if isinstance(key, list):
            return Frame(self.values[:, [self.columns.index(name) for name in key]], key)
        return self.values[:, self.columns.index(key)]

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return self.values


@pytest.fixture(scope="module")
def digits():
    return tuple(part.subset(slice(200)) for part in datasets.load("digits"))


def csv_of(data, path, *, head=True, label="label", names=None, delimiter=","):
    rows = data.images.reshape(len(data), -1)
    labels = data.labels if names is None else np.array(names)[data.labels]
    with gzip.open(path, "wt") if path.suffix == ".gz" else open(path, "w") as file:
        if head:
            print(label, *(f"pixel{k}" for k in range(784)), sep=delimiter, file=file)
        for row, own in zip(rows, labels, strict=True):
            print(own, *row, sep=delimiter, file=file)
    return path


def same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels)
        assert one.classes == other.classes


@pytest.mark.parametrize("options", [{}, {"head": False}, {"delimiter": ";"}, {"delimiter": "\t"}, {"label": "Class"}])
@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
def test_csv_files(digits, tmp_path, options, suffix):
    paths = [
        csv_of(data, tmp_path / f"{name}.{suffix}", **options) for data, name in zip(digits, ("a", "b"), strict=True)
    ]
    same(from_csv(*paths), digits)
    train_set, test_set = load(paths[0])
    assert len(train_set) + len(test_set) == 200 and "20% of each class" in train_set.provenance["test"]


def test_classes_of_a_csv_file_may_be_texts(digits, tmp_path):
    names = "zero one two three four five six seven eight nine".split()
    path = csv_of(digits[0], tmp_path / "a.csv", names=names, label="what")
    train_set, _ = from_csv(path, label="what")
    assert set(train_set.classes) == set(names)
    with pytest.raises(DataError, match="no column 'who'"):
        from_csv(path, label="who")


def test_kaggles_folder(digits, tmp_path, capsys):
    """train.csv has labels, test.csv has none; answers are written in the format of the site."""
    csv_of(digits[0], tmp_path / "train.csv")
    rows = digits[1].images.reshape(200, 784)
    head = ",".join(f"pixel{k}" for k in range(784))
    np.savetxt(tmp_path / "test.csv", rows, "%d", delimiter=",", header=head, comments="")
    assert sum(map(len, load(tmp_path))) == 200
    assert predict.run([str(tmp_path / "test.csv"), "--csv", str(tmp_path / "out.csv")]) == 0
    expected = lenet5.pretrained().predict(digits[1].images)
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines == ["ImageId,Label", *(f"{k + 1},{answer}" for k, answer in enumerate(expected))]
    assert "wrote 200 predictions to" in capsys.readouterr().out
    np.save(tmp_path / "test.npy", rows)
    write_idx(tmp_path / "test-images-idx3-ubyte", digits[1].images)
    for name in ("test.npy", "test-images-idx3-ubyte"):
        assert predict.run([str(tmp_path / name), "--csv", str(tmp_path / "again.csv")]) == 0
        assert (tmp_path / "again.csv").read_text().splitlines() == lines
    assert predict.run([str(tmp_path / "test.csv")]) == 2
    assert "--csv FILE" in capsys.readouterr().err
    with pytest.raises(DataError, match=r"784 columns of pixels but no classes.*lenet5\.predict"):
        from_csv(tmp_path / "test.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a table|none of classes|not square"),
        ("label,a,b,c,d\n1,2,3,4\n", "not a table"),
        ("label,a,b,c,d\n1,2,x,4,5\n", "not a table"),
        ("label,a,b,c,d\n1,2,300,4,5\n", "0 to 300|expected grey levels"),
        ("label,a,b,c\n1,2,3,4\n0,1,2,3\n", "3 pixels"),
        ("\x00\xff", "not a table|none of classes|cannot be read"),
    ],
)
def test_tables_that_are_none(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        from_csv(tmp_path / "a.csv")


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("X_train", "Y_train", "X_test", "Y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("train_images", "train_labels", "val_images", "val_labels"),
    ],
)
def test_npz_files(digits, tmp_path, names):
    arrays = [array for data in digits for array in (data.images, data.labels[:, None])]
    np.savez_compressed(tmp_path / "a.npz", **dict(zip(names, arrays, strict=True)))
    same(load(tmp_path / "a.npz"), digits)


def test_npz_files_of_one_set_and_of_none(digits, tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, images=digits[0].images, labels=digits[0].labels)
    assert sum(map(len, from_npz(path, test_split=0.3))) == 200
    np.savez(path, pictures=digits[0].images)
    with pytest.raises(DataError, match="found the arrays pictures; expected x_train"):
        from_npz(path)
    np.savez(path, x_train=np.array([object()]), y_train=[1])
    with pytest.raises(DataError, match="plain arrays"):
        from_npz(path)
    path.write_bytes(b"PK\x03\x04 no")
    with pytest.raises(DataError, match="plain arrays"):
        from_npz(path)
    with pytest.raises(DataError, match="cannot be read"):
        from_npz(tmp_path / "nowhere.npz")


def test_a_small_file_that_unpacks_to_a_large_one_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("lenet5.datasets.table.MAX_BYTES", 10_000)
    np.savez_compressed(tmp_path / "a.npz", images=np.zeros((100, 28, 28), np.uint8), labels=np.zeros(100, np.uint8))
    assert (tmp_path / "a.npz").stat().st_size < 2000
    with pytest.raises(DataError, match="at most 10,000 bytes unpacked, found"):
        from_npz(tmp_path / "a.npz")


def test_arrays_and_frames(digits):
    (x, y), (a, b) = ((data.images, data.labels) for data in digits)
    same(from_arrays(x / 255, y.tolist(), a[:, None], np.eye(10)[b]), digits)
    frames = [
        Frame(np.column_stack([data.labels, data.images.reshape(200, 784)]), ["label", *range(784)]) for data in digits
    ]
    same(from_arrays(frames[0], "label", frames[1], "label"), digits)
    with pytest.raises(DataError, match="no column 'digit'"):
        from_arrays(frames[0], "digit")
    train_set, test_set = from_arrays(x, y + 1, a[b > 4], b[b > 4] + 1)  # the parts have different labels
    assert train_set.classes == test_set.classes == tuple(map(str, range(1, 11)))
    np.testing.assert_array_equal(test_set.labels, b[b > 4])


def test_every_way_in_trains_to_the_same_bits(digits, tmp_path):
    for data, name, idx in zip(digits, ("train", "test"), ("train", "t10k"), strict=True):
        for number, (image, label) in enumerate(zip(data.images, data.labels, strict=True)):
            place = tmp_path / "folder" / name / str(label)
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{number}.png")
        csv_of(data, tmp_path / f"{name}.csv")
        (tmp_path / "idx").mkdir(exist_ok=True)
        write_idx(tmp_path / "idx" / f"{idx}-images-idx3-ubyte", data.images)
        write_idx(tmp_path / "idx" / f"{idx}-labels-idx1-ubyte", data.labels)
    (x, y), (a, b) = ((data.images, data.labels) for data in digits)
    np.savez(tmp_path / "set.npz", x_train=x, y_train=y, x_test=a, y_test=b)
    frames = [Frame(np.column_stack([z, u.reshape(200, 784)]), ["label", *range(784)]) for u, z in ((x, y), (a, b))]
    ways = {
        "named": digits,
        "folder": load(tmp_path / "folder"),
        "csv": from_csv(tmp_path / "train.csv", tmp_path / "test.csv"),
        "npz": load(tmp_path / "set.npz"),
        "idx": load(tmp_path / "idx"),
        "arrays": (Dataset(x / 255, y.tolist()), Dataset(a / np.float32(255), np.eye(10)[b])),
        "frames": from_arrays(frames[0], "label", frames[1], "label"),
    }
    bits = {name: lenet5.fit(lenet5.lenet5(), *way, epochs=1, verbose=False) for name, way in ways.items()}
    assert len({history["weights_sha256"][0] for history in bits.values()}) == 1
    assert len({history["test_error"][0] for history in bits.values()}) == 1


def test_the_command_takes_a_path(digits, tmp_path, capsys):
    for data, name in zip(digits, ("train", "test"), strict=True):
        csv_of(data, tmp_path / f"{name}.csv")
    run = tmp_path / "run"
    assert train.run(["--dataset", str(tmp_path), "--epochs", "4", "--threads", "1", "--out", str(run)]) == 0
    assert "test error" in capsys.readouterr().out
    from lenet5 import evaluate

    for weights in (run, run / "weights.npz"):
        assert evaluate.run([str(weights)]) == 0  # loads the same images
        assert "200 images" in capsys.readouterr().out
    assert train.run(["--resume", str(run), "--epochs", "5", "--quiet"]) == 0
    assert train.run(["--dataset", "mnist", "--data.size", "20"]) == 2
    assert "only to data sets given by a path" in capsys.readouterr().err
    assert train.run(["--dataset", "digitz"]) == 2
    assert "did you mean digits" in capsys.readouterr().err
