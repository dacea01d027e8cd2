"""The loop: train from scratch on what is labelled, test, query, buy; until the budget is spent."""

from __future__ import annotations

import time
from typing import Any

import torch

from hetal.errors import in_round
from hetal.evaluate import bought, measure, summarise, test
from hetal.experiment import Setup
from hetal.guard.query import acquire, copy_of, keeps_state, load_state, state_of
from hetal.machine.memory import forget_peak
from hetal.machine.signals import SafeStop
from hetal.record.purchases import check_purchases
from hetal.record.writer import Record
from hetal.rng import stream
from hetal.watch.console import Display
from hetal.watch.pictures import Pictures
from hetal.watch.profiler import Trace
from hetal.watch.wandb import Tracker


def run(
    setup: Setup,
    record: Record,
    tracker: Tracker,
    display: Display,
    stop: SafeStop,
    trace: Trace,
    keep_network: bool,
) -> dict[str, Any]:
    """Run what `record` does not hold yet, and return the summary of all of it.

    Args:
        setup: an experiment whose pool has nothing bought.
        record: held by this process; what it holds is bought again, not computed again.
        tracker: shown every round once.
        display: told of every epoch and round.
        stop: asked after every epoch.
        trace: told where epochs end and queries are made.
        keep_network: leave the weights of the last round's network with the record.

    Raises:
        Stopped: `stop` was asked to.
        Diverged: a loss or an output was not finite; says the round, the epoch and the learning rate.
        BadInput: the strategy returned, wrote to or remembered what it must not; nothing of the round is on record.
            Or the record and the data do not tell the same.
    """
    pool, oracle, budget, seed = setup.pool, setup.oracle, setup.budget, setup.seed
    record.start(bought(setup, setup.start_ids))
    check_purchases(record.bought, oracle, pool.source_N, setup.start_ids, record.dir / "queries.npz")
    for purchase in record.bought:
        pool.reveal(purchase.ids, purchase.labels)
    fresh = copy_of(setup.strategy)
    if keeps_state(setup.strategy, setup.name) and (state := record.strategy_state()) is not None:
        load_state(setup.strategy, state, setup.name)

    pictures = Pictures(setup, record)

    def on_epoch(epoch: int, accuracy: float) -> None:
        display.epoch(epoch, accuracy)
        trace.epoch(epoch)
        stop.check()

    while not budget.is_spent(record.rounds):
        t = len(record.rounds)
        forget_peak(pool.device)
        began = time.perf_counter()
        with in_round(t):
            fit = setup.learner.fit(
                pool,
                stream(seed, "fit", t),
                past_steps=record.steps,
                snapshot=setup.strategy.reads_snapshot,
                on_epoch=on_epoch,
                checkpoint=record.checkpoint(t, setup.learner.checkpoint_minutes),
            )
            trained = time.perf_counter()
            tested = test(t, setup, fit)
        n = budget.n_to_ask(record.rounds)
        ids = torch.empty(0).long()
        asked = time.perf_counter()
        if n:
            rng, globals_rng = stream(seed, "query", t), stream(seed, "query globals", t)
            with in_round(t), trace.query():
                ids = acquire(setup.strategy, fit.fitted, pool, n, rng, globals_rng, setup.name)
        queried = time.perf_counter()
        state = state_of(setup.strategy, setup.name, fresh)
        purchase = bought(setup, ids)
        row = measure(
            t, setup, fit, tested, n, purchase, train_seconds=trained - began, query_seconds=queried - asked
        )
        kept = fit.fitted.networks.online if keep_network and not len(ids) else None
        if kept is not None:
            record.keep_network(kept)
        pictures.keep(purchase, None if kept is None else kept.state_dict())
        record.append(row, purchase, state)
        pool.reveal(purchase.ids, purchase.labels)
        tracker.log(row)
        display.round(row)
        if len(ids) < n:
            display.note(
                f"alg={setup.name} stopped early: it bought {len(ids)} of the {n} rows it was asked for"
            )
    pictures.finish(keep_network)
    return summarise(record.rounds, record.bought, oracle.clean_share)
