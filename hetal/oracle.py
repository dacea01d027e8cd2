"""The oracle, which alone knows hidden labels, and how it answers when it is asked again."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hetal.errors import BadInput
from hetal.noise import NoisyPool
from hetal.noise.pool import NO_LABEL, NO_REGION
from hetal.record.schema import REJECT


@dataclass(frozen=True)
class Answers:
    """How the oracle answers when it is asked again.

    Attributes:
        fresh: whether the label of an image that was asked before, of this row or another that shows it, is drawn anew
            from the noise; else a row's label is always the same.
        relabel: whether a strategy may ask again for a row that it has bought, at the cost of a label.
    """

    fresh: bool
    relabel: bool


#: Every row has one label, and is asked once.
PERSISTENT = Answers(fresh=False, relabel=False)


class Oracle:
    """The only holder of hidden labels, and of what is known of every row: noise, right label, region.

    Args:
        noisy: the corrupted pool.
        answers: how it answers when it is asked again.

    Raises:
        BadInput: labels are to be drawn anew, and the noise does not say how.
    """

    def __init__(self, noisy: NoisyPool, answers: Answers = PERSISTENT) -> None:
        self.answers = answers
        self._cost_M = noisy.cost_M
        self._source_N = noisy.source_N
        self._labels_N = noisy.labels_N.cpu()
        self._is_noisy_N = noisy.is_noisy_N.cpu()
        self._true_N = noisy.true_N
        self._region_N = noisy.region_N
        self._parts = noisy.parts
        if answers.fresh:
            self._check_draws()

    def _check_draws(self) -> None:
        parts = self._parts
        if parts is None or parts.overlap:
            both = "" if parts is None else f" {' and '.join(parts.overlap)} together do"
            raise BadInput(
                f"oracle=fresh: the noise{both} not say how labels are drawn anew; oracle=persistent"
            )
        for number, (name, draw) in enumerate(zip(parts.names, parts.draws, strict=True)):
            if draw is None and bool(((parts.number_N == number) & self._is_noisy_N).any()):
                raise BadInput(
                    f"oracle=fresh: the noise {name} does not say how labels are drawn anew; oracle=persistent"
                )

    @property
    def clean_share(self) -> float:
        """Share of clean rows in the whole pool, the expected share of a random query."""
        return 1.0 - float(self._is_noisy_N.double().mean())

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of what rows can be: "clean", and the noise settings in order; "noisy" where they have no names."""
        return ("clean", "noisy") if self._parts is None else self._parts.names

    @property
    def n_regions(self) -> int:
        """Number of regions that rows are in; 0 where the noise has none."""
        return 0 if self._region_N is None else int(self._region_N.max()) + 1

    def everything(self) -> tuple[Tensor, Tensor]:
        """Return all hidden labels (N,) int64 and noise flags (N,) bool as copies, for bounds only; on the CPU."""
        return self._labels_N.clone(), self._is_noisy_N.clone()

    def label(self, ids: Tensor) -> Tensor:
        """Return the hidden labels of ids (n,): (n,) int64 on the CPU; `REJECT` where a row is of no class."""
        return self._labels_N[ids.cpu()]

    def answer(self, ids: Tensor, is_again: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return what a query of ids (n,) buys: labels (n,) int64 and noise flags (n,) bool, on the CPU.

        Where a label is drawn anew that need not have been noise, it is noise if it is not the right one.

        Args:
            ids: rows.
            is_again: (n,) bool, rows whose image was asked before.
            rng: draws what is drawn anew.
        """
        ids = ids.cpu()
        labels, is_noisy = self.label(ids), self.is_noisy(ids)
        if self.answers.fresh and self._parts is not None:
            number_n = self._parts.number_N[ids] * is_again
            for number, draw in enumerate(self._parts.draws):
                at = torch.nonzero(number_n == number).flatten()
                if draw is None or len(at) == 0:
                    continue
                labels[at] = draw(self._parts.row_N[ids[at]].long(), rng)
                if not bool(self._is_noisy_N[self._parts.number_N == number].all()):
                    is_noisy[at] = labels[at] != self.true(ids[at])
        return labels, is_noisy

    def cost(self, ids: Tensor) -> float | None:
        """Return what a query of ids (n,) costs; None where the data do not say what a label costs."""
        return None if self._cost_M is None else float(self._cost_M[self._source_N[ids.cpu()]].double().sum())

    def is_noisy(self, ids: Tensor) -> Tensor:
        """Return the noise flags of ids (n,), for the record only: (n,) bool on the CPU."""
        return self._is_noisy_N[ids.cpu()]

    def true(self, ids: Tensor) -> Tensor:
        """Return the right labels of ids (n,), for the record only: (n,) int64 on the CPU, -1 where there is none."""
        ids = ids.cpu()
        if self._true_N is None:
            return torch.where(self._is_noisy_N[ids], NO_LABEL, self._labels_N[ids])
        return self._true_N[ids].long()

    def kind(self, ids: Tensor, is_noisy: Tensor) -> Tensor:
        """Return the place in `kinds` of each of ids (n,), for the record only: (n,) int64 on the CPU.

        Args:
            ids: rows.
            is_noisy: (n,) bool, on the CPU, whether their labels are noise; of labels drawn anew, see `answer`.
        """
        ids = ids.cpu()
        number = torch.ones_like(ids) if self._parts is None else self._parts.number_N[ids].long()
        return torch.where(is_noisy, number, 0)

    def region(self, ids: Tensor) -> Tensor:
        """Return the regions of ids (n,), for the record only: (n,) int64 on the CPU, -1 where there is none."""
        ids = ids.cpu()
        return torch.full_like(ids, NO_REGION) if self._region_N is None else self._region_N[ids].long()


def is_right(labels: Tensor, true: Tensor) -> Tensor:
    """Return whether labels (n,) are the right ones (n,); those of rows without one, and rejections, are not."""
    return (labels == true) & (labels != REJECT)


def asked_again(source: Tensor, is_asked_M: Tensor) -> Tensor:
    """Return (n,) bool: whether each image was asked before, in earlier queries or earlier in this one.

    Args:
        source: (n,) int64, the images of the rows that are asked, in order.
        is_asked_M: (M,) bool, images asked in earlier queries.
    """
    order = source.argsort(stable=True)
    repeats = torch.zeros_like(source, dtype=torch.bool)
    repeats[order[1:]] = source[order[1:]] == source[order[:-1]]
    return repeats | is_asked_M[source]


def per_kind(oracle: Oracle, ids: Tensor, is_noisy: Tensor) -> dict[str, int]:
    """Return how many of ids (n,) are clean, and of each noise that the pool has, by name; see `Oracle.kind`."""
    counts = torch.bincount(oracle.kind(ids, is_noisy), minlength=len(oracle.kinds)).tolist()
    total: dict[str, int] = {}
    for name, count in zip(oracle.kinds, counts, strict=True):
        total[name] = total.get(name, 0) + count
    return total
