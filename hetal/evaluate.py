"""Metrics of one round, and summary of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from hetal.experiment import Setup
from hetal.guard.measures import own_values
from hetal.machine.memory import peak_mb
from hetal.oracle import Oracle, asked_again, is_right, per_kind
from hetal.record.schema import REJECT, Purchase, Round
from hetal.rng import seeded, stream
from hetal.train.finetune import PseudoLabels
from hetal.train.fit import Fit


def buy(setup: Setup, ids: Tensor, t: int) -> Purchase:
    """Buy the labels of `ids` (n,) from the oracle in round `t`, with noise flags for the record; all on the CPU."""
    ids, pool, oracle = ids.cpu(), setup.pool, setup.oracle
    source = pool.source_N[ids.to(pool.device)].cpu()
    is_again = torch.zeros(len(ids), dtype=torch.bool)
    if oracle.answers.fresh:  # else nothing depends on it
        is_asked_M = torch.zeros(len(pool.images_M), dtype=torch.bool)
        is_asked_M[pool.source_N[pool.bought_ids()].cpu()] = True
        is_again = asked_again(source, is_asked_M)
    labels, is_noisy = oracle.answer(ids, is_again, stream(setup.seed, "oracle", t))
    return Purchase(ids, labels, source, is_noisy)


def test(t: int, setup: Setup, fit: Fit) -> dict[str, Any]:
    """Return the test metrics of round `t`'s network, see `classification_metrics`, and `measures` of the user's own.

    Called before the query, since a user's own strategy could change the network.

    Raises:
        Diverged: an output on the test set is not finite.
        BadInput: a measure of the user's own fails, see `hetal.guard.measures`.
    """
    with seeded(stream(setup.seed, "test", t), setup.pool.device):
        probs = fit.fitted.outputs(fit.fitted.networks.online, setup.task.test.images).probs
    fit.fitted.watch.reset()  # from here on, the forward passes of the query
    probs, labels = probs.cpu(), setup.task.test.labels  # on the CPU, since MPS has no float64
    own = own_values(setup.measures, probs, labels, setup.seed, t, setup.pool.device)
    return {**classification_metrics(probs, labels), "measures": own}


def measure(
    t: int,
    setup: Setup,
    fit: Fit,
    metrics: Mapping[str, Any],
    n_asked: int,
    purchase: Purchase,
    seconds: Mapping[str, float],
) -> Round:
    """Return the record of a round: its training, test metrics and purchase.

    Args:
        t: the round.
        setup: with the pool as the network was trained on it, before the purchase.
        fit: the network and its training.
        metrics: on the test set, see `test`.
        n_asked: rows that the query asked for.
        purchase: the rows bought, possibly none.
        seconds: wall time of `train`, `test` and `query`; that of the query includes its forward passes.
    """
    score_seconds = fit.fitted.watch.seconds
    n_bought = len(purchase.ids)
    labels = purchase.labels[purchase.labels != REJECT]
    per_class = torch.bincount(labels, minlength=setup.task.n_classes).tolist()
    region, n_regions = setup.oracle.region(purchase.ids), setup.oracle.n_regions
    return Round(
        round=t,
        n_labelled=setup.pool.n_asked,
        **metrics,
        train_accuracy=fit.accuracy,
        epochs=fit.epochs,
        steps=fit.steps,
        restarts=fit.restarts,
        snapshot_epoch=fit.snapshot_epoch,
        **pseudo_label_metrics(fit.pseudo, setup.oracle),
        n_asked=n_asked,
        n_bought=n_bought,
        clean_share=1 - float(purchase.is_noisy.double().mean()) if n_bought else None,
        n_distinct=len(purchase.source.unique()) if n_bought else None,
        bought_per_class=per_class if n_bought else None,
        right_share=_share(is_right(purchase.labels, setup.oracle.true(purchase.ids))),
        n_rejected=n_bought - len(labels) if n_bought else None,
        bought_per_kind=per_kind(setup.oracle, purchase.ids, purchase.is_noisy) if n_bought else None,
        bought_per_region=torch.bincount(region[region >= 0], minlength=n_regions).tolist()
        if n_bought and n_regions
        else None,
        cost=setup.oracle.cost(purchase.ids) if n_bought else None,
        seconds={
            "train": round(seconds["train"], 4),
            "score": round(score_seconds, 4),
            "select": round(max(seconds["query"] - score_seconds, 0.0), 4),
            "test": round(seconds["test"], 4),
        },
        peak_memory_mb=peak_mb(setup.pool.device),
    )


def pseudo_label_metrics(pseudo: PseudoLabels | None, oracle: Oracle) -> dict[str, Any]:
    """Compare pseudo-labels with hidden labels, on all, clean and noisy rows; see `hetal.record.schema.Round`."""
    if pseudo is None:
        return {"n_pseudo": None, "pseudo_accuracy": None}
    ids = pseudo.ids.cpu()
    is_correct, is_noisy = oracle.label(ids) == pseudo.labels.cpu(), oracle.is_noisy(ids)
    return {
        "n_pseudo": len(ids),
        "n_pseudo_noisy": int(is_noisy.sum()),
        "pseudo_accuracy": _share(is_correct),
        "pseudo_accuracy_clean": _share(is_correct[~is_noisy]),
        "pseudo_accuracy_noisy": _share(is_correct[is_noisy]),
    }


def _share(flags: Tensor) -> float | None:
    return float(flags.double().mean()) if len(flags) else None


def summarise(
    rounds: Sequence[Round], purchases: Sequence[Purchase], base_rate: float | None
) -> dict[str, Any]:
    """Return the summary of a finished run, see `hetal.record.schema.Summary`.

    Args:
        rounds: of the run, all of them.
        purchases: the start set, then the purchase of each round.
        base_rate: share of clean rows in the whole pool, in [0, 1]; None if not known.
    """
    is_noisy = torch.cat([torch.empty(0), *(purchase.is_noisy for purchase in purchases[1:])])
    return {
        "area_under_curve": area_under_curve([r.n_labelled for r in rounds], [r.accuracy for r in rounds]),
        "final_accuracy": rounds[-1].accuracy,
        "n_labelled": rounds[-1].n_labelled,
        "n_rounds": len(rounds),
        "queried_clean_share": 1 - float(is_noisy.double().mean()) if len(is_noisy) else None,
        "base_rate": base_rate,
        "seconds": {phase: round(sum(r.seconds[phase] for r in rounds), 4) for phase in rounds[0].seconds},
    }


def classification_metrics(probs_NC: Tensor, labels_N: Tensor, n_bins: int = 15) -> dict[str, float]:
    """Return classification metrics of predicted probabilities.

    Args:
        probs_NC: (N, C) class probabilities.
        labels_N: (N,) int64.
        n_bins: number of equal-width bins of confidence for the calibration error.

    Returns:
        `accuracy`; `balanced_accuracy` (mean recall over the classes that occur); `macro_f1` (mean F1 over
        the classes that occur in labels or predictions); `nll` (mean negative log likelihood, nats);
        `ece` (expected calibration error: Guo et al., ICML 2017, arXiv 1706.04599, equation 3). All but nll in [0, 1].
    """
    C = probs_NC.shape[1]
    confidence_N, predicted_N = probs_NC.double().max(1)
    right_N = predicted_N == labels_N
    true_C = torch.bincount(labels_N, minlength=C).double()
    predicted_C = torch.bincount(predicted_N, minlength=C).double()
    right_C = torch.bincount(labels_N[right_N], minlength=C).double()
    occurs_C = (true_C + predicted_C) > 0
    f1_C = 2 * right_C / (true_C + predicted_C)
    bin_N = (confidence_N * n_bins).ceil().long().clamp(1, n_bins) - 1
    gap_N = right_N.double() - confidence_N
    gap_bins = torch.zeros(n_bins, dtype=torch.float64, device=bin_N.device).index_add_(0, bin_N, gap_N)
    p_true_N = probs_NC.gather(1, labels_N[:, None]).double()
    values = {
        "accuracy": right_N.double().mean(),
        "balanced_accuracy": (right_C / true_C)[true_C > 0].mean(),
        "macro_f1": f1_C[occurs_C].mean(),
        "nll": -p_true_N.clamp(min=torch.finfo(torch.float32).tiny).log().mean(),
        "ece": gap_bins.abs().sum() / len(labels_N),
    }
    return {name: float(value) for name, value in values.items()}


def area_under_curve(n_labelled: list[int], accuracy: list[float]) -> float:
    """Return the area under the learning curve (AULC): mean accuracy over labels by the trapezoid rule, in [0, 1]."""
    if len(n_labelled) == 1:
        return accuracy[0]
    x = torch.tensor(n_labelled, dtype=torch.float64)
    y = torch.tensor(accuracy, dtype=torch.float64)
    return float(torch.trapezoid(y, x) / (x[-1] - x[0]))
