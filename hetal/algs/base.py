"""Base class and contract of query strategies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.rng import permutation
from hetal.train.fitted import Fitted

# Attributes by which a strategy declares what it reads and does.
DECLARED = (
    "needs_network", "single_network", "reads_snapshot", "reads_head", "reads_targets", "cheats", "may_stop"
)  # fmt: skip


class QueryStrategy(ABC):
    """Chooses which rows of the pool to buy next.

    The constructor takes hyperparameters only. The arguments of `query` contain no hidden labels and no noise flags.
    Every query is checked, see `hetal.guard.query`; `hetal.testing.check_strategy` tests a strategy on small pools.

    A strategy that remembers anything from one call to the next defines `state_dict` and `load_state_dict`: the state
    is saved with every round, and with every checkpoint within a round, so that a killed run continues as if it had
    not been interrupted.
    """

    needs_network: bool = True
    """Whether `query` reads a trained network. One that does not may choose the start set too (`start`)."""

    reads_snapshot: bool = False
    """Whether training must keep the pair of networks that `Fitted.snapshot` returns."""

    reads_head: bool = False
    """Whether `Fitted.head` is read: a network without a linear head is then refused before any training."""

    reads_targets: bool = False
    """Whether `Fitted.targets`, the images of the test set, are read; the record then says so."""

    cheats: bool = False
    """Whether it sees hidden labels, as a `hetal.algs.Bound` does; the record then says so."""

    may_stop: bool = False
    """Whether `query` may return fewer rows than asked for, even none; the run then ends after training on them."""

    single_network: bool = False
    """Whether this strategy needs one network, and not an ensemble; it is then refused with `model.members` above 1."""

    def check(self, network: nn.Module) -> None:
        """Refuse, before any training, a network that this strategy cannot use.

        Raises:
            BadInput: says what is missing.
        """
        return

    def check_outputs(self, fitted: Fitted) -> None:
        """Refuse, before any training, outputs that this strategy cannot use; refuses none unless overridden.

        Args:
            fitted: outputs of a fresh network on two images.

        Raises:
            BadInput: says what is wrong with them.
        """
        return

    @abstractmethod
    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return (n,) int64 distinct unlabelled ids; with `may_stop`, n or fewer.

        Args:
            fitted: outputs of this round's networks on the distinct images of `pool`; where the start set is chosen,
                only what the data give.
            pool: with at least n unlabelled rows; read-only.
            n: number of rows to buy.
            rng: CPU generator, the only source of randomness to use.
        """

    def after_epoch(self, epoch: int, fitted: Fitted, pool: Pool) -> None:
        """Look at the networks after an epoch of training; never called, and without any cost, unless overridden.

        Training goes on with the same bits as if nothing had been looked at. Outputs are computed on demand, with the
        network in evaluation mode. Draws come from the global generators, seeded for each epoch anew. What is
        remembered must be in `state_dict`.

        Args:
            epoch: of this round, from 1 on; it counts on over restarts and into fine-tuning.
            fitted: the networks as they are at the end of the epoch, gone once the next begins. `attempt` is 1, and one
                more after each restart of training from a fresh network; `tuned` is None until fine-tuning.
            pool: whose labelled rows are trained on; read-only.
        """
        return

    def state_dict(self) -> dict[str, Any]:
        """Return the state that the next call depends on, besides its arguments; {} unless overridden.

        It may consist of tensors, numbers, strings, and lists and dicts of these.
        """
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state that `state_dict` returned.

        Args:
            state: equal to what `state_dict` returned, with tensors on the CPU.
        """
        return


# Of passes, draws and configurations of a query: more would take weeks, and tell no more.
MOST_DRAWS = 1_000_000


def check_draws(name: str, number: int, least: int) -> None:
    """Refuse a number of passes or draws that is out of range.

    Args:
        name: of the setting, without `alg.`.
        number: its value.
        least: that makes sense.

    Raises:
        BadInput: it is not in least..`MOST_DRAWS`.
    """
    if not least <= number <= MOST_DRAWS:
        raise BadInput(f"alg.{name}={number}: must be in {least}..{MOST_DRAWS}")


def fill_up(ids: Tensor, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
    """Return `ids`, filled up to n with random other unlabelled ids: (n,) int64."""
    left = pool.unlabelled_ids()
    left = left[~torch.isin(left, ids)]
    left = left[permutation(len(left), rng, left.device)]
    return torch.cat([ids, left[: n - len(ids)]])


Features = Literal["given", "trained", "both"]


def features_of(fitted: Fitted, kind: Features) -> Tensor:
    """Return features of every distinct image, (M, D) float32.

    Args:
        fitted: its `features_MD` are not computed for "given".
        kind: "given", those of the data; "trained", the network's; "both", side by side, each centred and scaled to
            mean squared norm 1, so that they weigh the same.
    """
    if kind == "given":
        return fitted.given_MD
    if kind == "trained":
        return fitted.features_MD
    return torch.cat([_scaled(fitted.given_MD), _scaled(fitted.features_MD)], dim=1)


def unit_length(x_MD: Tensor) -> Tensor:
    """Return features scaled to length 1 each, (M, D); what is 0 stays so."""
    length_M: Tensor = x_MD.norm(dim=1, keepdim=True)
    return x_MD / length_M.clamp(min=torch.finfo(torch.float32).tiny)


def _scaled(x_MD: Tensor) -> Tensor:
    centred = x_MD - x_MD.mean(0)
    return centred / centred.square().sum(1).mean().sqrt().clamp(min=torch.finfo(torch.float32).tiny)


def check_features(kind: str) -> None:
    """Refuse a kind of features that is none of `Features`.

    Raises:
        BadInput: names what is allowed.
    """
    if kind not in get_args(Features):
        raise BadInput(f"features={kind}: must be one of {', '.join(get_args(Features))}")
