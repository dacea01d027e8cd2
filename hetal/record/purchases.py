"""Check that the purchases of a record agree with the data."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hetal.errors import BadInput
from hetal.oracle import Oracle, asked_again
from hetal.record.reader import REPAIR_HINT
from hetal.record.schema import START, Purchase


def check_purchases(
    purchases: Sequence[Purchase],
    oracle: Oracle,
    source_N: Tensor,
    start_ids: Tensor,
    where: str = "queries.npz",
    same_start: bool = True,
) -> None:
    """Compare the purchases of a record with the labels of the oracle.

    Args:
        purchases: the start set, then the purchase of each round.
        oracle: knows every label.
        source_N: (N,) int64, the image that each row of the pool shows.
        start_ids: (n_start,) int64, the start set as it is chosen.
        where: where the purchases are stored, for messages.
        same_start: whether every machine chooses the same start set, as where it is drawn; where it is computed from
            features, another kind of processor may choose another, and only its number of rows is compared.

    Raises:
        BadInput: names the file, the round, and what is wrong.
    """
    source_N = source_N.cpu()
    seen = torch.zeros(len(source_N), dtype=torch.bool)
    is_asked_M = torch.zeros(int(source_N.max()) + 1, dtype=torch.bool)
    for t, purchase in enumerate(purchases, START):
        problem = _problem(purchase, oracle, source_N, seen, is_asked_M)
        if problem is None and t == START and not _agree(purchase.ids, start_ids.cpu(), same_start):
            problem = f"holds other rows than the {len(start_ids)} that the seed draws"
        if problem is not None:
            part = "the start set" if t == START else f"round {t}"
            raise BadInput(f"{where}: {part} {problem}; {REPAIR_HINT}")
        seen[purchase.ids] = True
        is_asked_M[purchase.source] = True


def _agree(ids: Tensor, start_ids: Tensor, same_start: bool) -> bool:
    return torch.equal(ids, start_ids) if same_start else len(ids) == len(start_ids)


def _problem(
    purchase: Purchase, oracle: Oracle, source_N: Tensor, seen_N: Tensor, is_asked_M: Tensor
) -> str | None:
    """Return what is wrong with one purchase; None if nothing is."""
    ids = purchase.ids
    outside = (ids < 0) | (ids >= len(source_N))
    if outside.any():
        return f"holds row {int(ids[outside][0])}, which is not in 0..{len(source_N) - 1}"
    if len(ids.unique()) < len(ids) or (seen_N[ids].any() and not oracle.answers.relabel):
        return "holds a row that was bought before"
    # What was drawn anew is on record only.
    is_known = ~(asked_again(source_N[ids], is_asked_M) & oracle.answers.fresh)
    for name, recorded, actual in (
        ("label", purchase.labels, oracle.label(ids)),
        ("image", purchase.source, source_N[ids]),
        ("noise flag", purchase.is_noisy, oracle.is_noisy(ids)),
    ):
        if (differs := (recorded != actual) & (is_known | (name == "image"))).any():
            wrong, right = (column[differs][0].item() for column in (recorded, actual))
            return f"says that row {int(ids[differs][0])} has {name} {wrong}; by the data it is {right}"
    return None
