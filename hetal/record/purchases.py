"""Whether what a record says was bought agrees with the data."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hetal.errors import BadInput
from hetal.pool import Oracle
from hetal.record.reader import REPAIR_HINT
from hetal.record.schema import START, Purchase


def check_purchases(
    purchases: Sequence[Purchase],
    oracle: Oracle,
    source_N: Tensor,
    start_ids: Tensor,
    where: str = "queries.npz",
) -> None:
    """Compare what a record says was bought with what the oracle sells.

    Args:
        bought: the start set, then the rows of each round.
        oracle: knows every label.
        source_N: (N,) int64, the image that each row of the pool shows.
        start_ids: (n_start,) int64, the start set as it is drawn.
        where: what holds `purchases`, to be named.

    Raises:
        BadInput: names the file, the round, and what is wrong.
    """
    source_N = source_N.cpu()
    seen = torch.zeros(len(source_N), dtype=torch.bool)
    for t, purchase in enumerate(purchases, START):
        said = _wrong(purchase, oracle, source_N, seen)
        if said is None and t == START and not torch.equal(purchase.ids, start_ids.cpu()):
            said = f"holds other rows than the {len(start_ids)} that the seed draws"
        if said is not None:
            of = "the start set" if t == START else f"round {t}"
            raise BadInput(f"{where}: {of} {said}; {REPAIR_HINT}")
        seen[purchase.ids] = True


def _wrong(purchase: Purchase, oracle: Oracle, source_N: Tensor, seen_N: Tensor) -> str | None:
    """Say what is wrong with one purchase; None where nothing is."""
    ids = purchase.ids
    outside = (ids < 0) | (ids >= len(source_N))
    if outside.any():
        return f"holds row {int(ids[outside][0])}, which is not in 0..{len(source_N) - 1}"
    if len(ids.unique()) < len(ids) or seen_N[ids].any():
        return "holds a row that was bought before"
    for name, is_there, is_so in (
        ("label", purchase.labels, oracle.label(ids)),
        ("image", purchase.source, source_N[ids]),
        ("noise flag", purchase.is_noisy, oracle.is_noisy(ids)),
    ):
        if (differs := is_there != is_so).any():
            there, so = (column[differs][0].item() for column in (is_there, is_so))
            return f"says that row {int(ids[differs][0])} has {name} {there}; by the data it is {so}"
    return None
