"""The active-learning loop: train on all labelled rows, test, query, buy; until the budget is spent."""

from __future__ import annotations

from typing import Any

import torch

from hetal.errors import in_round
from hetal.evaluate import buy, measure, summarise, test
from hetal.experiment import Setup
from hetal.guard.query import CheckedStrategy
from hetal.machine.clock import Clock
from hetal.machine.memory import enough_memory, reset_peak
from hetal.record.history import History
from hetal.record.purchases import check_purchases
from hetal.record.schema import START
from hetal.rng import stream
from hetal.watch.watcher import Watchers


def run(setup: Setup, history: History, watchers: Watchers | None = None) -> dict[str, Any]:
    """Run the rounds that `history` does not hold yet, and return the summary, see `hetal.evaluate.summarise`.

    Args:
        setup: an experiment whose pool has no labels bought.
        history: its purchases are replayed, not computed again; finished rounds are added.
        watchers: notified of every epoch, query, purchase and round.

    Raises:
        Stopped: a watcher stopped the run.
        Diverged: a loss or an output is not finite; names the round, the epoch and the learning rate.
        BadInput: the strategy returned invalid ids, changed what is read-only, or kept state that would be lost;
            nothing of the round is on record. Or the history and the data do not agree.
    """
    pool, oracle, budget, learner, seed = setup.pool, setup.oracle, setup.budget, setup.learner, setup.seed
    watchers = watchers or Watchers()
    strategy = CheckedStrategy(setup.strategy, f"alg={setup.name}")
    history.start(buy(setup, setup.start_ids, START))
    check_purchases(
        history.purchases, oracle, pool.source_N, setup.start_ids, history.source, setup.start_is_random
    )
    for purchase in history.purchases:
        pool.reveal(purchase.ids, purchase.labels)
    strategy.resume(history.strategy_state)
    weights = history.weights() if learner.warm_start else None

    while not budget.is_spent(history.rounds):
        t, n = len(history.rounds), budget.n_to_ask(history.rounds)
        clock, ids = Clock(), torch.empty(0).long()
        reset_peak(pool.device)
        with in_round(t), enough_memory(f"round {t}"):
            with clock("train"):
                fit = learner.fit(
                    pool,
                    stream(seed, "fit", t),
                    previous=weights,
                    past_steps=sum(row.steps for row in history.rounds),
                    snapshot=setup.strategy.reads_snapshot,
                    targets=setup.task.test.images if setup.strategy.reads_targets else None,
                    after_epoch=strategy.after_epoch(pool, seed, t),
                    on_epoch=watchers.epoch,
                    checkpoint=history.checkpoint(t, learner.checkpoint_minutes),
                )
            with clock("test"):
                metrics = test(t, setup, fit)
            if n:
                with clock("query"), watchers.query():
                    ids = strategy.query(fit.fitted, pool, n, seed, t)
        purchase, state, weights = buy(setup, ids, t), strategy.state(), learner.hand_on(fit)
        row = measure(t, setup, fit, metrics, n, purchase, clock.seconds)
        watchers.purchase(purchase, fit)
        history.append(row, purchase, state, weights)
        pool.reveal(purchase.ids, purchase.labels)
        watchers.round(row)
    return summarise(history.rounds, history.purchases, oracle.clean_share)
