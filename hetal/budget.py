"""The budget of a run: the labels of each round, and the rounds that runs with different budgets share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hetal.errors import BadInput
from hetal.record.schema import OF_A_PURCHASE, Round


@dataclass(frozen=True)
class Budget:
    """Labels to start with, to buy each round, and to end with.

    Raises:
        BadInput: a number is too small.
    """

    n_start: int
    n_query: int
    n_end: int

    def __post_init__(self) -> None:
        if self.n_start < 1:
            raise BadInput(f"n_start={self.n_start}: must be at least 1")
        if self.n_query < 1:
            raise BadInput(f"n_query={self.n_query}: must be at least 1")
        if self.n_end < self.n_start:
            raise BadInput(f"n_end={self.n_end}: must be at least n_start, {self.n_start}")

    @classmethod
    def fitting(
        cls, n_rows: int, n_classes: int, n_start: int | None, n_query: int | None, n_end: int | None
    ) -> Budget:
        """Return a budget for data of this size, where the user has set none.

        It ends with half of the clean rows, at most 1,000; begins with a tenth of that, at least one label a class; and
        buys as many each round as it begins with. None of it but the end depends on `n_end`, so that a run that ends
        later is the same run up to there.

        Args:
            n_rows: clean training rows.
            n_classes: number of classes.
            n_start, n_query, n_end: as the user set them, or None.

        Raises:
            BadInput: a number is too small.
        """
        half = min(n_rows // 2, 1000)
        start = n_start if n_start is not None else min(max(n_classes, half // 10, 1), n_rows)
        if n_start is None and n_end is not None and n_end < start:
            raise BadInput(f"n_end={n_end}: must be at least {start}, which n_start is unless set")
        query = n_query if n_query is not None else start
        return cls(start, query, n_end if n_end is not None else max(half, start))

    def check(self, n_rows: int) -> None:
        """Refuse a budget larger than a pool of `n_rows` rows.

        Raises:
            BadInput: names the setting.
        """
        if self.n_start > n_rows:
            raise BadInput(f"n_start={self.n_start}: must be in 1..{n_rows}, the rows of the pool")
        if self.n_end > n_rows:
            raise BadInput(
                f"n_end={self.n_end}: must be in {self.n_start}..{n_rows}, n_start to the rows of the pool"
            )

    @property
    def n_rounds(self) -> int:
        """Number of networks to train if the strategy does not stop early: one per query, and one after the last."""
        return 1 + -(-(self.n_end - self.n_start) // self.n_query)

    def planned(self, t: int) -> int:
        """Return the number of labels that round `t` trains on if the strategy does not stop early."""
        return min(self.n_start + t * self.n_query, self.n_end)

    def n_labelled(self, rounds: Sequence[Round]) -> int:
        """Return the number of labels bought by the end of `rounds`."""
        return rounds[-1].n_labelled + rounds[-1].n_bought if rounds else self.n_start

    def n_to_ask(self, rounds: Sequence[Round]) -> int:
        """Return how many rows to ask for in the round after `rounds`: n_query, or what is left; 0 in the last round.

        After a strategy has stopped early, one more network is trained on its last purchase, and nothing is asked for.
        """
        if rounds and rounds[-1].n_bought < rounds[-1].n_asked:
            return 0
        return max(min(self.n_query, self.n_end - self.n_labelled(rounds)), 0)

    def is_spent(self, rounds: Sequence[Round]) -> bool:
        """Return whether no round is left: the last one asked for nothing, or bought nothing."""
        return bool(rounds) and rounds[-1].n_bought == 0

    def n_shared(self, rounds: Sequence[Round]) -> int:
        """Return how many of `rounds`, run with another `n_end`, would be the same with this budget."""
        for i, row in enumerate(rounds):
            if row.n_asked != self.n_to_ask(rounds[:i]):
                return i
        return len(rounds)

    def part_of(self, rounds: Sequence[Round]) -> list[Round] | None:
        """Return the rounds of this budget's run if all of them are in `rounds`, or None if some have not been run.

        Args:
            rounds: on record, finished or not, of a run that differs at most in `n_end`. If that run is longer, it made
                a query after the last network of this budget, which is left out here.

        Raises:
            BadInput: the run on record is longer, and has no network trained on `n_end` labels.
        """
        n = self.n_shared(rounds)
        shared = list(rounds[:n])
        if self.is_spent(shared):
            return shared
        if n == len(rounds) or not rounds[n].n_asked:
            return None
        if self.n_to_ask(shared) == 0:
            nothing: dict[str, Any] = dict.fromkeys(OF_A_PURCHASE)
            last = dataclasses.replace(rounds[n], n_asked=0, n_bought=0, **nothing)
            return [*shared, last]
        if rounds[-1].n_labelled < self.n_end:
            return None
        ends = sorted({row.n_labelled for row in rounds}, key=lambda end: abs(end - self.n_end))[:2]
        raise BadInput(
            f"n_end={self.n_end}: the same run is on record up to {rounds[-1].n_labelled} labels and has no network "
            f"at {self.n_end}; n_end={' or '.join(map(str, sorted(ends)))} shows a part of it, name=OTHER runs this "
            "apart"
        )


def first_to_repeat(rounds: Sequence[Round]) -> int:
    """Return the first of `rounds`, at least one, that may have to be run again.

    It is the last round, whose line a crash may have torn; or the round before, where its query was cut short by
    `n_end`: a larger one makes that query in full.
    """
    return next(i for i, row in enumerate(rounds) if row.n_asked != rounds[0].n_asked or row is rounds[-1])
