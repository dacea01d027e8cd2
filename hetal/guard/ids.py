"""The check of what a query returned: distinct unlabelled ids, as many as were asked for."""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.errors import BadInput
from hetal.machine.transfer import to_host
from hetal.noise.pool import describe, is_dense
from hetal.pool import Pool


def check_ids(ids: object, pool: Pool, n: int, may_stop: bool, who: str) -> Tensor:
    """Check the ids that a query returned, and return them on the CPU.

    Args:
        ids: what the query returned.
        pool: that was queried.
        n: number of rows asked for.
        may_stop: whether fewer are allowed.
        who: names the strategy in messages.

    Raises:
        BadInput: `ids` are not (n,) int64 distinct unlabelled ids.
    """
    wanted = f"{'up to ' if may_stop else ''}{n} distinct unlabelled ids, a tensor of int64"

    def refuse(what: str) -> BadInput:
        return BadInput(f"{who}: query returned {what}; asked for were {wanted}")

    if not is_dense(ids) or ids.dtype != torch.int64 or ids.dim() != 1:
        raise refuse(describe(ids))
    ids = ids.detach().cpu()
    if len(ids) > n or (len(ids) < n and not may_stop):
        raise refuse(f"{len(ids)} ids")
    if len(invalid := ids[(ids < 0) | (ids >= len(pool))]):
        raise refuse(f"id {int(invalid[0])} of a pool whose ids are 0..{len(pool) - 1}")
    values, counts = ids.unique(return_counts=True)
    if len(repeated := values[counts > 1]):
        raise refuse(f"id {int(repeated[0])} more than once")
    if not pool.may_relabel and len(bought := ids[~to_host(pool.is_open(ids))[0]]):
        raise refuse(f"id {int(bought[0])}, which is labelled already")
    return ids
