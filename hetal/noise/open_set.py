"""Open set: rows of classes outside the task, of which a query learns no more than that they are rejected.

The last round(s C) of the C classes, for a share s, are outside. The task, the network's outputs and the test set are
those of the others. Training rows of the classes outside are part of the pool; where they would be more than a share s
of it, some are left out at random. A query of such a row costs as any other, is counted, and gives no label.

Sources: Ning et al., "Active Learning for Open-set Annotation" (LfOSA), CVPR 2022 (arXiv 2201.06758); Safaei et al.,
"Entropic Open-set Active Learning" (EOAL), AAAI 2024 (arXiv 2312.14126); Du et al., "Contrastive Coding for Active
Learning Under Class Distribution Mismatch" (CCAL), ICCV 2021.

What the share means: LfOSA and EOAL give the share of classes that are *inside*; their mismatch ratios 20, 30 and 40%
on CIFAR-10 are s = 0.8, 0.7 and 0.6 here, as all rows of the other classes are in their pool. CCAL gives the share of
the unlabelled *rows* that are outside. Here s is the share of classes, and bounds that of rows; on balanced data they
agree. Departures: the start set is drawn from the whole pool, so some of it is rejected, where theirs is of the task's
classes; and LfOSA and EOAL train a detector on rows that were rejected, which is a matter of the strategy.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hetal.errors import BadInput
from hetal.noise.pool import NO_LABEL, NoisyPool
from hetal.noise.rows import check_integer, check_share
from hetal.record.schema import REJECT
from hetal.task import Examples, new_numbers


def open_set_noise(
    train: Examples,
    n_classes: int,
    rng: torch.Generator,
    *,
    share: float,
    outside: Sequence[int] | None,
) -> NoisyPool:
    """Take some classes out of the task; their rows stay in the pool, and are rejected.

    Args:
        train: the clean rows.
        n_classes: number of classes, C.
        rng: CPU generator.
        share: of the classes, the last ones, that are outside: round(share * C), at least one unless it is 0, and such
            that at least two are left. Rejected rows are at most this share of the pool.
        outside: the classes that are outside, in place of the last ones; `share` bounds their rows.

    Raises:
        BadInput: `share` or `outside` is out of range, or there are fewer than three classes.
    """
    check_share("noise.share", share)
    out = _last(share, n_classes) if outside is None else _named(outside, n_classes)
    if not out:
        inside, rejected = torch.arange(len(train)), torch.empty(0, dtype=torch.int64)
    else:
        is_inside = new_numbers(out, n_classes)[train.labels] >= 0
        inside = torch.nonzero(is_inside).flatten()
        rejected = _at_most(torch.nonzero(~is_inside).flatten(), len(inside), share, rng)
    n, k = len(inside), len(rejected)
    return NoisyPool(
        images_M=train.images,
        source_N=torch.cat([inside, rejected]),
        labels_N=torch.cat([train.labels[inside], torch.full((k,), REJECT)]),
        is_noisy_N=torch.arange(n + k) >= n,
        true_N=torch.cat([train.labels[inside], torch.full((k,), NO_LABEL)]),
        draw=_reject,
        outside=tuple(out),
    )


def _last(share: float, n_classes: int) -> list[int]:
    if share == 0:
        return []
    if n_classes < 3:
        raise BadInput(
            f"noise.share={share}: leaves fewer than two of {n_classes} classes in the task; noise=open_set needs data "
            "of at least 3 classes"
        )
    return list(range(n_classes - min(max(round(share * n_classes), 1), n_classes - 2), n_classes))


def _named(outside: Sequence[int], n_classes: int) -> list[int]:
    if not isinstance(outside, Sequence) or not outside:
        raise BadInput(f"noise.outside={outside}: must be a list of classes such as [6,7], or null")
    why = f"as the data have {n_classes} classes"
    for c in outside:
        check_integer("noise.outside", c, low=0, high=n_classes - 1, why=why)
    if len({*outside}) < len(outside):
        raise BadInput(f"noise.outside={list(outside)}: names a class twice")
    if len(outside) > n_classes - 2:
        raise BadInput(
            f"noise.outside={list(outside)}: takes {len(outside)} of {n_classes} classes out of the task; at least 2 "
            "must be left"
        )
    return list(outside)


def _reject(rows: Tensor, rng: torch.Generator) -> Tensor:
    """Return what a query of rejected rows gives whenever it is made: (n,) int64."""
    return torch.full_like(rows, REJECT)


def _at_most(rows: Tensor, n_inside: int, share: float, rng: torch.Generator) -> Tensor:
    """Return `rows`, or some drawn at random, so that of them and `n_inside` others they are at most `share`."""
    most = len(rows) if share == 1 else min(len(rows), int(share / (1 - share) * n_inside + 1e-6))
    return rows[torch.randperm(len(rows), generator=rng)[:most].sort().values]
