"""The pool of examples to buy labels for, as a query strategy sees it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hetal.machine.transfer import to_device, to_host
from hetal.record.schema import REJECT
from hetal.rng import permutation

# Of a row in the pool's column of bought labels.
NOT_BOUGHT = -2


class Candidates(NamedTuple):
    """Distinct images of unlabelled rows.

    Attributes:
        images: (P,) int64 image numbers.
        copies: (P,) int64, number of unlabelled rows that show each image.
    """

    images: Tensor
    copies: Tensor


class Pool:
    """The pool as a query strategy sees it: images, the image of each row, and the labels bought so far.

    It contains no hidden labels and no noise flags.

    Args:
        images_M: (M, C, H, W) or (M, D) distinct images, on the device to compute on.
        source_N: (N,) int64, the image that each row shows.
        may_relabel: whether rows may be bought again.
        given_M: (M, D) features of the images that the data bring along; None where they bring none.

    Attributes:
        n_asked: labels paid for so far, those of rows bought again and of rejected ones included.
    """

    def __init__(
        self,
        images_M: Tensor,
        source_N: Tensor,
        may_relabel: bool = False,
        given_M: Tensor | None = None,
    ) -> None:
        self.images_M = images_M
        self.source_N = source_N.to(images_M.device)
        self.may_relabel = may_relabel
        self.given_M = given_M
        self.n_asked = 0
        self._labels_N = torch.full_like(self.source_N, NOT_BOUGHT)
        self._answers: list[tuple[Tensor, Tensor]] = []  # of rows that were bought again, all of them

    def __len__(self) -> int:
        return len(self.source_N)

    @property
    def device(self) -> torch.device:
        """Device of all tensors of the pool."""
        return self.images_M.device

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors of the pool, by names for messages."""
        given = {} if self.given_M is None else {"pool.given_M": self.given_M}
        return {
            "pool.images_M": self.images_M,
            "pool.source_N": self.source_N,
            "the labels bought": self._labels_N,
            **given,
        }

    def bought_ids(self) -> Tensor:
        """Return the ids bought so far, ascending, those that were rejected included: (B,) int64."""
        return torch.nonzero(self._labels_N != NOT_BOUGHT).flatten()

    def labelled_ids(self) -> Tensor:
        """Return the ids whose label was bought so far, ascending: (L,) int64."""
        return torch.nonzero(self._labels_N >= 0).flatten()

    def rejected_ids(self) -> Tensor:
        """Return the ids bought that turned out to be of no class of the task, ascending: (B - L,) int64."""
        return torch.nonzero(self._labels_N == REJECT).flatten()

    def unlabelled_ids(self) -> Tensor:
        """Return the ids not bought yet, ascending: (N - B,) int64."""
        return torch.nonzero(self._labels_N == NOT_BOUGHT).flatten()

    def is_open(self, ids: Tensor) -> Tensor:
        """Return whether rows have not been bought yet: (len(ids),) bool."""
        return self._labels_N[to_device(self.device, ids)[0]] == NOT_BOUGHT

    def labels(self, ids: Tensor) -> Tensor:
        """Return the bought labels of `ids`: (len(ids),) int64.

        Of a row that was bought several times, it is the most frequent label, and of equally frequent ones the latest;
        rejections do not count where there is a label.

        Raises:
            ValueError: a row of `ids` has no label: it has not been bought, or was rejected.
        """
        labels = self._labels_N[to_device(self.device, ids)[0]]
        if bool((labels < 0).any()):
            raise ValueError("asked for the label of a row that was never bought, or was rejected")
        return labels

    def answers(self, ids: Tensor, n_classes: int) -> Tensor:
        """Return how often each label was bought for `ids`: (len(ids), n_classes) int64."""
        ids = to_device(self.device, ids)[0]
        place_N = torch.full_like(self.source_N, -1)
        place_N[ids] = torch.arange(len(ids), device=self.device)
        counts = torch.zeros(len(ids), n_classes, dtype=torch.int64, device=self.device)
        for rows, labels in self._answers:
            at, is_label = place_N[rows], labels >= 0
            at, labels = at[is_label & (at >= 0)], labels[is_label & (at >= 0)]
            counts.index_put_((at, labels), torch.ones_like(at), accumulate=True)
        return counts[place_N[ids]]

    def reveal(self, ids: Tensor, labels: Tensor) -> None:
        """Add bought labels.

        Args:
            ids: (n,) int64 distinct ids, not bought before unless rows may be relabelled.
            labels: (n,) int64, their labels, or `hetal.record.schema.REJECT`.

        Raises:
            ValueError: an id is out of range, repeated, or bought before.
        """
        there = to_host(ids)[0]
        if len(there) and not (int(there.min()) >= 0 and int(there.max()) < len(self)):
            raise ValueError(f"ids must be in 0..{len(self) - 1}")
        ids, labels = to_device(self.device, ids, labels)
        if len(there.unique()) < len(there) or not (self.may_relabel or bool(self.is_open(ids).all())):
            raise ValueError("a row was bought twice")
        before = self._labels_N[ids]
        self.n_asked += len(ids)
        self._labels_N[ids] = labels
        if self.may_relabel and len(ids):
            self._answers.append((ids, labels))
            had_label = before >= 0
            self._settle(ids[had_label], before[had_label], labels[had_label])

    def _settle(self, ids: Tensor, before: Tensor, latest: Tensor) -> None:
        """Set the labels of rows that had one `before` the `latest` answer, see `labels`."""
        if len(ids):
            counts = self.answers(ids, int(max(labels.max() for _, labels in self._answers)) + 1)
            at = torch.arange(len(ids), device=self.device)
            is_most = (latest != REJECT) & (counts[at, latest.clamp(min=0)] == counts.amax(1))
            self._labels_N[ids] = torch.where(is_most, latest, before)

    def copies(self, ids: Tensor | None = None) -> Tensor:
        """Return how many rows show each image, of `ids` or of all: (M,) int64."""
        shown = self.source_N if ids is None else self.source_N[ids]
        # Where torch.bincount would wait for a GPU.
        return shown.new_zeros(len(self.images_M)).index_add_(0, shown, torch.ones_like(shown))

    def distinct(self) -> Candidates:
        """Return the distinct images of all unlabelled rows, in order of their lowest row id.

        Distances and scores depend only on the image, so computing them once per image and weighting by `copies` is
        exact.
        """
        ids = self.unlabelled_ids()
        shown = self.source_N[ids]
        first_M = torch.full((len(self.images_M),), len(self), device=self.device)
        first_M.scatter_reduce_(0, shown, ids, "amin")
        copies_M = self.copies(ids)
        images = torch.nonzero(copies_M).flatten()
        images = images[first_M[images].argsort()]
        return Candidates(images, copies_M[images])

    def only(self, ids: Tensor) -> Pool:
        """Return the pool of these rows alone, with what was bought of them; they are numbered anew, in this order.

        Images keep their numbers, so that outputs for the images of this pool are those for its images; of some, it may
        show none.

        Args:
            ids: (K,) int64 distinct ids, bought or not.
        """
        ids = to_device(self.device, ids)[0]
        part = Pool(self.images_M, self.source_N[ids], self.may_relabel, self.given_M)
        part.n_asked, part._labels_N = self.n_asked, self._labels_N[ids]
        place_N = torch.full_like(self.source_N, -1)
        place_N[ids] = torch.arange(len(ids), device=self.device)
        for rows, labels in self._answers:
            is_there = place_N[rows] >= 0
            part._answers.append((place_N[rows[is_there]], labels[is_there]))
        return part

    def rows_showing(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """Return a random unlabelled row for each of `images`; an image that occurs k times gets k rows.

        Args:
            images: (n,) int64 image numbers, each at most as often as it has unlabelled rows.
            rng: CPU generator.

        Returns:
            (n,) int64 distinct unlabelled ids, in the order of `images`.
        """
        ids = self.unlabelled_ids()
        ids = ids[permutation(len(ids), rng, self.device)]
        return ids[_matching(self.source_N[ids], images)]

    def lowest_rows_showing(self, images: Tensor) -> Tensor:
        """Return the lowest unlabelled ids that show `images`: like `rows_showing`, but not random."""
        ids = self.unlabelled_ids()
        return ids[_matching(self.source_N[ids], images)]


def _matching(keys: Tensor, wanted: Tensor) -> Tensor:
    """Return the position in `keys` of each of `wanted`; the k-th occurrence of a value gets its k-th position."""
    order = keys.argsort(stable=True)
    start = torch.searchsorted(keys[order], wanted)
    by_value = wanted.argsort(stable=True)
    values = wanted[by_value]
    occurrence = torch.empty_like(wanted)
    occurrence[by_value] = torch.arange(len(wanted), device=wanted.device) - torch.searchsorted(
        values, values
    )
    return order[start + occurrence]
