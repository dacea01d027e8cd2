"""Dropout that drops the same units for every row, as one network drawn from the dropout posterior does.

Gal & Ghahramani (ICML 2016, arXiv 1506.02142): a mask is a draw of weights. What depends on the weights of two rows
jointly, such as the mutual information of their labels, needs both rows run with one mask; called consistent dropout
by Kirsch, van Amersfoort & Gal (NeurIPS 2019, arXiv 1906.08158). torch draws a mask for every row of every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn


def dropouts_in(network: nn.Module) -> Iterator[nn.modules.dropout._DropoutNd]:
    """Yield the dropout layers of a network."""
    return (m for m in network.modules() if isinstance(m, nn.modules.dropout._DropoutNd))


def share_masks(network: nn.Module) -> None:
    """Make all dropout layers drop the same units for all rows of a batch, in place.

    What they draw does not depend on the size of the batch: seeded alike, they draw the same for another batch.
    """
    for layer in dropouts_in(network):
        layer.forward = partial(_as_one_row, layer.forward)


def _as_one_row(forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    run = torch.func.vmap(lambda row: forward(row[None])[0], randomness="same")
    result: Tensor = run(x)
    return result
