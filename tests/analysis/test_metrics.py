import numpy as np
import pytest

from lenet5.analysis import metrics
from lenet5.errors import ConfigError, ShapeError

SCORES = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.5, 0.4, 0.1], [0.3, 0.3, 0.4]])
LABELS = np.array([0, 1, 1, 0])


def test_by_hand():
    assert metrics.error(SCORES, LABELS) == 0.75
    assert metrics.accuracy(SCORES, LABELS) == 0.25
    # Ties count against the label: that of the last pattern ranks third.
    assert [metrics.top_k_accuracy(SCORES, LABELS, k) for k in (1, 2, 3)] == [0.25, 0.75, 1.0]
    assert metrics.top_k_accuracy(np.full((4, 3), np.nan), LABELS, 2) == 0.0
    expected = -np.log([0.7, 0.3, 0.4, 0.3]).mean()
    assert metrics.cross_entropy(SCORES, LABELS) == pytest.approx(expected)
    assert np.isfinite(metrics.cross_entropy(np.array([[0.0, 1.0]], np.float32), np.array([0])))


def test_rejection_takes_the_doubtful_first():
    # Margins 0.5 (right), 0.3 (wrong), 0.1 (wrong), 0.1 (wrong).
    assert metrics.rejection_rate(SCORES, LABELS, target=0.75) == 0.0
    assert metrics.rejection_rate(SCORES, LABELS, target=0.67) == 0.25  # 2 of the 3 remaining answers
    assert metrics.rejection_rate(SCORES, LABELS, target=0.5) == 0.5
    assert metrics.rejection_rate(SCORES, LABELS, target=0.0) == 0.75
    rng = np.random.default_rng(0)
    scores, labels = rng.random((500, 10)), rng.integers(10, size=500)
    scores[np.arange(500), labels] += 0.5
    margin = np.diff(np.sort(scores, axis=1)[:, -2:]).ravel()
    wrong = scores.argmax(axis=1) != labels
    for target in (0.0, 0.01, 0.1):
        rate = metrics.rejection_rate(scores, labels, target=target)
        kept = np.argsort(margin)[round(rate * 500) :]
        assert wrong[kept].sum() <= target * len(kept)  # rejecting one fewer would leave too many errors
        assert rate == 0 or wrong[np.argsort(margin)[round(rate * 500) - 1 :]].mean() > target


def test_mcnemar_counts_only_where_the_answers_differ():
    labels = np.zeros(1000, int)
    one, other = labels.copy(), labels.copy()
    assert metrics.mcnemar(one, other, labels) == 1.0
    other[:8], one[8:10], one[500:], other[500:] = 1, 1, 3, 4  # only `other` wrong: 8, only `one` wrong: 2
    assert metrics.mcnemar(one, other, labels) == pytest.approx(2 * (1 + 10 + 45) / 2**10)
    assert metrics.mcnemar(other, one, labels) == metrics.mcnemar(one, other, labels)
    one[8:10] = 0
    assert metrics.mcnemar(one, other, labels) == pytest.approx(2 / 2**8)


@pytest.mark.parametrize(
    "call",
    [
        lambda: metrics.error(SCORES, LABELS[:2]),
        lambda: metrics.error(SCORES, LABELS + 2),
        lambda: metrics.cross_entropy(SCORES[0], LABELS),
        lambda: metrics.mcnemar(LABELS, LABELS[:2], LABELS),
        lambda: metrics.top_k_accuracy(SCORES, LABELS, 4),
        lambda: metrics.top_k_accuracy(SCORES, LABELS, 0),
        lambda: metrics.rejection_rate(SCORES[:, :1], 0 * LABELS),
        lambda: metrics.rejection_rate(SCORES, LABELS, target=float("nan")),
    ],
)
def test_what_does_not_fit_is_an_error(call):
    with pytest.raises((ConfigError, ShapeError)):
        call()


def test_interval_of_a_mean():
    # 97.5 % quantiles of Student's t, from a printed table: 12.706 for one degree of freedom, 2.776 for four.
    assert metrics.interval([0.01, 0.02]) == pytest.approx(12.706 * 0.005, rel=1e-4)
    assert metrics.interval([1, 2, 3, 4, 5]) == pytest.approx(2.776 * 2.5**0.5 / 5**0.5, rel=1e-3)
    assert metrics.interval([1, 2, 3, 4, 5], level=0.5) < 0.6
    samples = np.random.default_rng(0).normal(3.0, 2.0, (2000, 4))
    covered = [abs(sample.mean() - 3.0) <= metrics.interval(sample) for sample in samples]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)  # 4 standard errors
    for wrong in ([1.0], [], [[1.0, 2.0]]):
        with pytest.raises(ShapeError, match="two values"):
            metrics.interval(wrong)
