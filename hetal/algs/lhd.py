"""LHD: buy a diverse batch of rows on which a network and its moving average disagree.

Khosla, Whye, Ash, Zhang, Kawaguchi, Lamb: Understanding and Improving Neural Active Learning on Heteroskedastic
Distributions (ECAI 2023, arXiv 2211.00928). With the online network f and its moving average f', y = argmax f'(x):

    dl(x) = |CE(f'(x), y) - CE(f(x), y)|,   dh(x) = h'(x) - h(x),   g(x) = dl(x) dh(x)

then k-means++ seeding on g. Both networks are those of the moment T, see `hetal.train.snapshot`; with fine-tuning, dl
is read from the fine-tuned networks and dh from the snapshot before it.

The paper's code reads h' in train mode, in passes over the pool that overwrite the running statistics of batch norm,
and then l' in evaluation mode, with what is left of these. `batch_statistics` reproduces both.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import nll_loss

from hetal.acquisition import kmeans_plusplus
from hetal.algs.base import QueryStrategy
from hetal.errors import BadInput
from hetal.pool import Candidates, Pool
from hetal.rng import seeded
from hetal.train.fitted import Fitted


def loss_only(loss_gap_P: Tensor, hidden_gap_PD: Tensor) -> Tensor:
    """Return the ablation g = dl: (P,) to (P, 1)."""
    return loss_gap_P[:, None]


def hidden_only(loss_gap_P: Tensor, hidden_gap_PD: Tensor) -> Tensor:
    """Return the ablation g = dh: (P, D)."""
    return hidden_gap_PD


class LHD(QueryStrategy):
    """Buys by k-means++ seeding on differences between a network and its moving average.

    Args:
        embedding: maps the gaps dl (P,) and dh (P, D) to points (P, E): `hetal.acquisition.lhd_embedding` or
            an ablation of it.
        batch_statistics: compute h' with the moving average in train mode, on batches of this many rows of the pool in
            order of id, as the paper's code does (64); there noisy rows come last, here ids are in random order.
            Outputs then depend on rows, not only on images, so that every row is passed through the network. Without
            fine-tuning, which renews them, the losses of the moving average are then read with the running statistics
            that this leaves. None computes h' in evaluation mode, like all other outputs.

    Raises:
        BadInput: `batch_statistics` is below 2.
    """

    reads_snapshot = True

    def __init__(self, embedding: Callable[[Tensor, Tensor], Tensor], batch_statistics: int | None) -> None:
        if batch_statistics is not None and batch_statistics < 2:
            raise BadInput(f"alg.batch_statistics={batch_statistics}: must be at least 2, or null")
        self.embedding = embedding
        self.batch_statistics = batch_statistics

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids: first the largest g, then draws with probability proportional to squared distance."""
        images, copies = _rows(pool) if self.batch_statistics is not None else pool.distinct()
        with seeded(rng, pool.device):  # train mode draws dropout masks
            points = self.embedding(*self._gaps(fitted, fitted.images(images)))
        picks = kmeans_plusplus(points, n, rng, weights=copies)
        return pool.rows_showing(images[picks], rng)

    def _gaps(self, fitted: Fitted, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gaps dl (P,) and dh (P, D) of P images."""
        pair = fitted.snapshot
        online = fitted.outputs(pair.online, images)
        if self.batch_statistics is None:
            ema = fitted.outputs(pair.ema, images)
            hidden = ema.features
        else:
            in_train_mode, overwritten = fitted.train_mode_outputs(pair.ema, images, self.batch_statistics)
            hidden = in_train_mode.features
            ema = fitted.outputs(overwritten, images)
        hidden_gap = hidden - online.features
        if fitted.tuned is not None:
            online = fitted.outputs(fitted.tuned.online, images)
            ema = fitted.outputs(fitted.tuned.ema, images)
        label = ema.probs.argmax(1)
        return (_cross_entropy(ema.probs, label) - _cross_entropy(online.probs, label)).abs(), hidden_gap


def _cross_entropy(probs: Tensor, label: Tensor) -> Tensor:
    # A probability that underflows to 0 would make the loss infinite, so it is clamped to the smallest normal float.
    return nll_loss(probs.clamp(min=torch.finfo(probs.dtype).tiny).log(), label, reduction="none")


def _rows(pool: Pool) -> Candidates:
    """Return every unlabelled row as a separate candidate, in order of id."""
    images = pool.source_N[pool.unlabelled_ids()]
    return Candidates(images, torch.ones_like(images))
