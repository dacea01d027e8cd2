"""Queries of hetal's strategies, one a process: `python -m benchmarks.strategies_hetal JSON`, run by `strategies.py`.

Prints what a query took, or which rows it chose, as JSON. The query is that of a run: the strategy with its settings in
conf/, a pool with copies, and a network, whose outputs for the pool are computed before.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict

import torch
from torch import nn

from benchmarks.measuring import measure
from benchmarks.strategies_data import Data, Task
from hetal.algs import QueryStrategy
from hetal.algs.wrapper import is_bound
from hetal.app.compose import build_part
from hetal.app.library import settings_of
from hetal.models.ensemble import Ensemble
from hetal.models.mlp import MLP
from hetal.pool import Pool
from hetal.rng import stream
from hetal.train.fitted import Fitted, Pair
from hetal.train.forward import Standardise


def strategy(task: Task) -> QueryStrategy:
    """Return the strategy of these settings."""
    config, _ = settings_of(f"alg={task.alg}", *task.overrides, "tracker=none", "data=digits")
    made: QueryStrategy = build_part(config, "alg")
    return made


def network(data: Data) -> nn.Module:
    """Return the network, or ensemble, whose features are its inputs, and which has dropout."""
    width, classes = data.x_MD.shape[1], data.weight_KCD.shape[1]
    members = []
    for weight_CD in data.weight_KCD:
        member = MLP((width,), classes, [width], dropout=0.5)
        with torch.no_grad():
            (body,) = (layer for layer in member.body if isinstance(layer, nn.Linear))
            body.weight.copy_(torch.eye(width))
            body.bias.zero_()
            member.head.weight.copy_(weight_CD)
            member.head.bias.zero_()
        members.append(member)
    return members[0] if len(members) == 1 else Ensemble(members)


def moving_average(online: nn.Module) -> nn.Module:
    """Return a network a little away from `online`."""
    rng = torch.Generator().manual_seed(2)
    data = {
        key: value + 0.01 * torch.randn(value.shape, generator=rng)
        for key, value in online.state_dict().items()
    }
    ema = MLP((online.head.in_features,), online.head.out_features, [online.head.in_features], dropout=0.5)
    ema.load_state_dict(data)
    return ema


def query(task: Task) -> Callable[[], Callable[[int], torch.Tensor]]:
    """Return what prepares a query; what that returns chooses so many rows."""
    data = Data(task)
    online = network(data)
    # LHD compares two networks; an ensemble, which it refuses, is left alone.
    pair = Pair(online, moving_average(online) if task.n_members == 1 else online)
    pool = Pool(data.x_MD, data.source_N)
    pool.reveal(data.labelled_L, data.labels())
    standardise = Standardise((0.0,), (1.0,), data.x_MD.shape[1:], False, data.x_MD.device)
    is_copied_N = torch.bincount(data.source_N)[data.source_N] > 1

    def prepare() -> Callable[[int], torch.Tensor]:
        chosen = strategy(task)
        fitted = Fitted(pair, data.x_MD, standardise, 1024, snapshot=pair, targets=data.x_MD[:500])
        _ = fitted.features_MD, fitted.given_MD
        if task.n_members > 1:
            _ = fitted.members_KMC
        if is_bound(chosen):
            chosen.see(data.source_N % task.n_classes, is_copied_N)
        return lambda n: chosen.query(fitted, pool, n, stream(0, "query"))

    return prepare


def main(task: Task, take_time: bool) -> None:
    """Measure, or choose."""
    if not take_time:
        print(json.dumps({"picks": query(task)()(task.n_picks).tolist()}))
        return
    small = Task(task.alg, 400, 400, 20, 3, task.overrides, n_members=task.n_members)
    query(small)()(3)  # so that nothing is imported in what is timed
    print(json.dumps(asdict(measure(query(task), task.n_picks, in_full=True))))


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    main(Task(**given["task"]), given["take_time"])
