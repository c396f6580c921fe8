"""Optimal Brain Damage (LeCun, Denker and Solla, 1990) on the paper's network."""

from .base import Column, Row, Table
from .variants import LEVELS, PRUNED_FROM, RETRAINING

__all__ = ["DAMAGE"]

_ENDS = {PRUNED_FROM + len(RETRAINING) * k: count for k, count in enumerate((60_000, *LEVELS))}

DAMAGE = Table(
    "optimal-brain-damage",
    "Optimal Brain Damage: test error with fewer and fewer of the 60,000 parameters",
    "The paper's network after 20 epochs of its recipe. Then, eight times, the parameters that count least are "
    "deleted, and the others are retrained for six epochs. Columns are parameters that are left, after their "
    "retraining. The picture shows the loss, too, and what deletion does without retraining. The authors pruned a "
    "network of 1989, on other digits.",
    tuple(
        Row(label, {"epochs": max(_ENDS)}, {}, note, variant=f"prune-{criterion}")
        for label, criterion, note in (
            ("saliency", "saliency", "h_kk u_k^2 / 2: Optimal Brain Damage."),
            ("magnitude", "magnitude", "The smallest absolute values first."),
            ("random", "random", "In any order. Of 15,000 parameters and fewer nothing can be learned again."),
        )
    ),
    tuple(Column(f"{count:,}", f"test_error@{epoch}") for epoch, count in _ENDS.items()),
    curves=("kept",),
)
