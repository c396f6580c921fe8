"""Table for Optimal Brain Damage (LeCun, Denker and Solla, 1990), applied to the paper's network."""

from .base import Column, Row, Table
from .variants import LEVELS, PRUNED_FROM, RETRAINING

__all__ = ["DAMAGE"]

_ENDS = {PRUNED_FROM + len(RETRAINING) * k: count for k, count in enumerate((60_000, *LEVELS))}

DAMAGE = Table(
    "optimal-brain-damage",
    "Optimal Brain Damage: test error while the 60,000 parameters are pruned",
    "The paper's network is trained for 20 epochs with its recipe. Then, eight times, the least important parameters "
    "are deleted and the others are retrained for six epochs. Each column gives the error after retraining with the "
    "stated number of remaining parameters. The plot also shows the loss, and the effect of deletion without "
    "retraining. The authors of the method pruned a network from 1989 that was trained on other digits.",
    tuple(
        Row(label, {"epochs": max(_ENDS)}, {}, note, variant=f"prune-{criterion}")
        for label, criterion, note in (
            (
                "saliency",
                "saliency",
                "Optimal Brain Damage: parameters with the smallest h_kk u_k^2 / 2 are deleted first.",
            ),
            ("magnitude", "magnitude", "Parameters with the smallest absolute values are deleted first."),
            ("random", "random", "The order of deletion is random. With 15,000 parameters or fewer, retraining fails."),
        )
    ),
    tuple(Column(f"{count:,}", f"test_error@{epoch}") for epoch, count in _ENDS.items()),
    curves=("kept",),
)
