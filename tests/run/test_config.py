import dataclasses
import json
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lenet5 import datasets, initializers, models
from lenet5.errors import ConfigError, LenetError
from lenet5.models import later
from lenet5.models.build import ACTIVATIONS
from lenet5.run import config
from lenet5.run.config import TrainConfig
from lenet5.run.folder import begun
from lenet5.train import _options


def parse(*argv):
    options, given = _options(list(argv))
    return begun(options["config"], given)


def test_no_option_is_the_paper():
    c = parse()
    assert (c.batch_size, c.epochs, c.loss.name, c.optimizer.name) == (1, 20, "map", "sdlm")
    assert (c.optimizer.lr, c.optimizer.mu, c.optimizer.patterns, c.schedule.name) == (5e-4, 0.02, 500, "paper")
    assert (c.model.subsampling, c.model.output, c.dataset) == ("trainable", "rbf", "auto")


def test_options_files_and_overrides(tmp_path):
    toml = tmp_path / "run.toml"
    toml.write_text('epochs = 3\noptimizer = "sgd"\nbatch-size = 8\n[loss]\nname = "mle"\nscale = 1\n')
    c = parse("--config", str(toml), "--optimizer.lr", "0.25", "--batch_size=16", "--loss", "map", "--quiet")
    assert (c.epochs, c.optimizer.name, c.optimizer.lr, c.batch_size) == (3, "sgd", 0.25, 16)
    assert (c.loss.name, c.loss.scale, c.quiet, c.schedule.name) == ("map", 1.0, True, "constant")
    assert parse("--optimizer", "sgd", "--optimizer.nesterov", "true", "--optimizer.momentum", "0.9").optimizer.nesterov


def test_the_resolved_configuration_can_be_passed_back(tmp_path):
    c = parse("--loss", "softmax", "--optimizer", "sgd", "--model.subsampling", "average", "--schedule.warmup", "2")
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config.to_dict(c)))
    assert parse("--config", str(file)) == c
    assert c.model.output == "softmax" and c.model.init == "fan-in-2.4" and c.optimizer.lr == 1e-3


@pytest.mark.parametrize(
    ("argv", "what"),
    [
        (["--optimzer", "sgd"], "--optimizer"),
        (["--bach-size", "3"], "--batch-size"),
        (["--optimizer.momentun", "3"], "--optimizer.momentum"),
        (["--optimizer", "lbfgs"], "sdlm, sgd"),
        (["--epochs", "0"], "at least 1"),
        (["--epochs", "2.5"], "an integer"),
        (["--optimizer.lr", "fast"], "a number"),
        (["--optimizer.lr", "nan"], "a number"),
        (["--optimizer.lr", "-1"], "optimizer.lr"),
        (["--validation-split", "1"], "validation_split"),
        (["--loss", "softmax", "--model.output", "rbf"], "softmax needs softmax"),
        (["--epochs"], "--epochs"),
        (["--optimizer.l2", "0.1"], "optimizer.l2 applies to sgd"),
        (["--optimizer", "sgd", "--optimizer.mu", "1"], "optimizer.mu applies to sdlm"),
        (["--loss", "mle", "--loss.j", "3"], "loss.j applies to map"),
        (["--optimizer", "adam", "--optimizer.momentum", "0.9"], "optimizer.momentum applies to sdlm, sgd, rmsprop"),
        (["--model", "caffe", "--loss", "map"], "the outputs of caffe (softmax)"),
        (["--model", "lenet1", "--loss", "softmax"], "squared needs dense"),
        (["--model", "lenet5", "--model.variation", "7x7"], "model.variation applies to tensorflow-tutorial"),
        (["--model", "caffe", "--model.subsampling", "max"], "model.subsampling applies to lenet5, d2l"),
        (["--model", "lenet6"], "lenet5, lenet4"),
        (["--loss.smoothing", "0.1"], "loss.smoothing applies to softmax"),
        (["--distort.rotation", "5"], "distort.rotation applies to affine"),
        (["--distort", "shift", "--distort.share", "0.5"], "only, not to shift"),
        (["--distort", "affine", "--distort.scale", "1"], "distort.scale"),
        (["--patience", "3"], "--validation-split"),
        (["--monitor", "validation_error"], "give --patience"),
        (["--schedule.every", "3"], "schedule.every applies to step only, not to paper"),
        (["--schedule", "cosine", "--schedule.factor", "3"], "schedule.factor applies to step"),
        (["--schedule", "constant", "--schedule.final", "1"], "schedule.final applies to cosine"),
        (["--optimizer", "sgd", "--optimizer.patterns", "3"], "optimizer.patterns applies to sdlm"),
        (["--model.subsampling", "max", "--model.coefficient", "0.5"], "model.coefficient applies to trainable"),
        (["--model", "d2l", "--model.subsampling", "trainable"], "average or max"),
        (["--model.dropout", "0.5"], "model.dropout applies to d2l"),
        (["--model", "d2l", "--model.dropout", "1"], "model.dropout must be at least 0 and below 1"),
        (["--distort", "affine", "--distort.share", "1.5"], "at least 0 and at most 1"),
        (["--distort", "affine", "--distort.sigma", "3"], "distort.sigma applies only to elastic"),
        (["--epoch", "3"], "--epochs"),
        (["train"], "train"),
        (["--config", "/no/such/file.toml"], "/no/such/file.toml"),
        (["--optimizer", '{"name": "sgd"}'], "sdlm, sgd"),
    ],
)
def test_wrong_options_are_named(argv, what):
    with pytest.raises(ConfigError) as error:
        parse(*argv)
    assert what in str(error.value) and "\n" not in str(error.value)


def test_the_configuration_knows_every_name():
    def names(section, option):
        kinds = typing.get_args({f.name: f.type for f in dataclasses.fields(section)}[option])
        return set(typing.get_args(kinds[0]) if type(None) in kinds else kinds)

    assert names(config.ModelConfig, "name") == set(models.MODELS)
    assert names(config.ModelConfig, "variation") == set(later.VARIATIONS)
    assert names(config.ModelConfig, "activation") == set(ACTIVATIONS)
    assert names(config.ModelConfig, "init") == set(initializers.INITIALIZERS)
    assert names(config.ModelConfig, "scale") == set(datasets.SCALES)
    assert names(config.DistortConfig, "name") == {"none", *datasets.DISTORTIONS}


def test_defaults_follow_the_network_and_the_loss():
    for argv, expected in [
        ([], ("rbf", "map", 0.5, "sdlm", 1)),
        (["--loss", "softmax"], ("softmax", "softmax", 1.0, "sdlm", 1)),
        (["--model.output", "dense"], ("dense", "squared", 1.0, "sdlm", 1)),
        (["--loss", "mle", "--batch-size", "7"], ("rbf", "mle", 0.5, "sdlm", 7)),
        (["--model", "lenet1"], (None, "squared", 1.0, "sdlm", 1)),
        (["--model", "lenet5-mattwang44"], (None, "map", 0.5, "sdlm", 256)),
        (["--model", "caffe"], (None, "softmax", 1.0, "adam", 128)),
    ]:
        c = parse(*argv)
        assert (c.model.output, c.loss.name, c.loss.scale, c.optimizer.name, c.batch_size) == expected, argv


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("epocs = 3", "'epochs'"),
        ("[optimizer]\nrate = 3", "unknown key 'optimizer.rate'"),
        ("[optimiser]\nlr = 3", "'optimizer'"),
        ("epochs = '3'", "epochs takes an integer; found '3'"),
        ("epochs = true", "an integer"),
        ("quiet = 1", "true or false"),
        ("optimizer = 3", "a section or a name"),
        ("[epochs]\nx = 1", "an integer"),
        ("epochs = ", "not TOML"),
        (f"[optimizer]\nlr = 1{'0' * 400}", "a number"),
        ("\x00", "not TOML"),
    ],
)
def test_wrong_files_are_named(tmp_path, text, what):
    file = tmp_path / "run.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        parse("--config", str(file))
    assert what in str(error.value) and "run.toml" in str(error.value)


def test_files_that_are_not_configurations(tmp_path):
    for name, content, what in [
        ("a.json", b"[1]", "table"),
        ("b.json", b"{" * 5000, "not JSON"),
        ("c.json", b"[" * 200_000, "not JSON"),
        ("d.toml", b"\xff\xfe", "not TOML"),
        ("e.toml", b"#" * (1 << 21), "at most"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match=what):
            config.read(tmp_path / name)
    with pytest.raises(ConfigError, match="cannot be read"):
        config.read(tmp_path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from([key.split(".")[0] for key, _ in config.keys()]) | st.text(max_size=10)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, VALUES | st.fixed_dictionaries({"name": VALUES, "lr": VALUES}), max_size=4))
def test_any_tree_gives_a_configuration_or_one_clear_error(tree):
    try:
        made = config.from_dict(tree)
    except LenetError as error:
        assert str(error)
    else:
        assert config.from_dict(config.to_dict(made)) == made


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(["--epochs", "--optimizer", "--loss.j", "--x", "3", "sgd", "", "=", "--=", "-1"])
        | st.text(max_size=6),
        max_size=4,
    )
)
def test_any_command_line_gives_a_configuration_or_one_clear_error(words):
    if any(w.startswith(("-h", "--h")) for w in words):
        return
    try:
        assert dataclasses.is_dataclass(parse(*words))
    except LenetError as error:
        assert str(error)


def test_every_option_is_explained():
    for key, f in config.keys():
        assert len(f.metadata["help"]) > 5, key
    assert isinstance(config.from_dict({}), TrainConfig)
