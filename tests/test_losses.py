"""Losses for noisy labels: values worked out by hand, gradients of the formulas, and logits that underflow."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

from hetal.errors import BadInput
from hetal.train import GCE, SCE, SmallLoss
from tests.command_line import CONF

Loss = Callable[[Tensor, Tensor], Tensor]

# Probabilities 1/8, 1/8, 3/4 and 1/2, 1/4, 1/4.
LOGITS = torch.tensor([[1.0, 1.0, 6.0], [2.0, 1.0, 1.0]], dtype=torch.float64).log()


def small_loss(epoch: int, forget_rate: float = 0.5, n_gradual: int = 4) -> SmallLoss:
    loss = SmallLoss(forget_rate, n_gradual)
    loss.begin_epoch(epoch)
    return loss


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        # Labels 0 and 1: p_y is 1/8 and 1/4.
        (GCE(q=0.5), ((1 - math.sqrt(1 / 8)) / 0.5 + (1 - 0.5) / 0.5) / 2),
        (GCE(q=1.0), (7 / 8 + 3 / 4) / 2),
        (SCE(alpha=0.0, beta=1.0, log_zero=-4.0), 4 * (7 / 8 + 3 / 4) / 2),
        (SCE(alpha=2.0, beta=0.5, log_zero=-4.0), 2 * math.log(32) / 2 + 0.5 * 4 * (7 / 8 + 3 / 4) / 2),
        (small_loss(4), math.log(4)),
        (small_loss(3), math.log(32) / 2),  # R = 1 - 3/8, of which 2 rows are 1.25, rounded up
        (SmallLoss(0.5, 1), math.log(32) / 2),
    ],
)
def test_values_by_hand(loss: Loss, expected: float) -> None:
    assert loss(LOGITS, torch.tensor([0, 1])).item() == pytest.approx(expected, rel=1e-14)


def naive_gce(q: float) -> Loss:
    return lambda z, y: ((1 - z.softmax(1).gather(1, y[:, None]) ** q) / q).mean()


def naive_sce(alpha: float, beta: float, log_zero: float) -> Loss:
    def loss(z: Tensor, y: Tensor) -> Tensor:
        p = z.softmax(1)
        wanted = torch.nn.functional.one_hot(y, z.shape[1]).to(z.dtype)
        log_wanted = torch.where(wanted > 0, torch.zeros_like(z), log_zero)
        return (-alpha * (wanted * p.log()).sum(1) - beta * (p * log_wanted).sum(1)).mean()

    return loss


def naive_small_loss(n: int) -> Loss:
    def loss(z: Tensor, y: Tensor) -> Tensor:
        each = -z.softmax(1).gather(1, y[:, None]).log().squeeze(1)
        kept = sorted(range(len(y)), key=lambda i: each[i].item())[:n]
        return each[kept].mean()

    return loss


@pytest.mark.parametrize(
    ("loss", "naive"),
    [
        (GCE(q=0.7), naive_gce(0.7)),
        (GCE(q=0.001), naive_gce(0.001)),
        (SCE(alpha=0.1, beta=1.0, log_zero=-4.0), naive_sce(0.1, 1.0, -4.0)),
        (SCE(alpha=6.0, beta=0.1, log_zero=-9.2), naive_sce(6.0, 0.1, -9.2)),
        (small_loss(2, forget_rate=0.4), naive_small_loss(16)),  # 20 rows, of which R = 1 - 0.2
        (small_loss(100, forget_rate=0.9), naive_small_loss(2)),
    ],
)
def test_gradients_are_those_of_the_formula(loss: Loss, naive: Loss) -> None:
    rng = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(20, 5, generator=rng, dtype=torch.float64)
    labels = torch.randint(5, (20,), generator=rng)
    values, gradients = [], []
    for one in (loss, naive):
        z = logits.clone().requires_grad_()
        value = one(z, labels)
        assert value.shape == ()
        values.append(value.item())
        gradients.append(torch.autograd.grad(value, z)[0])
    assert values[0] == pytest.approx(values[1], rel=1e-12)
    assert torch.allclose(*gradients, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    "loss",
    [GCE(q=0.7), GCE(q=0.001), GCE(q=1.0), SCE(alpha=0.1, beta=1.0, log_zero=-4.0), small_loss(9)],
)
@pytest.mark.parametrize("size", [0.0, 100.0, 1e6, 1e30])
def test_logits_of_any_size_give_finite_values_and_gradients(loss: Loss, size: float) -> None:
    z = torch.tensor([[size, 0.0], [0.0, size], [-size, size]], requires_grad=True)
    value = loss(z, torch.tensor([0, 0, 0]))
    (gradient,) = torch.autograd.grad(value, z)
    assert math.isfinite(value.item())
    assert gradient.isfinite().all()


def test_small_loss_forgets_gradually_and_keeps_a_row() -> None:
    loss = SmallLoss(forget_rate=0.3, n_gradual=3)
    rng = torch.Generator().manual_seed(0)
    z, y = torch.randn(10, 2, generator=rng), torch.zeros(10).long()
    losses = torch.nn.functional.cross_entropy(z, y, reduction="none").sort().values
    for epoch, n in [(1, 9), (2, 8), (3, 7), (4, 7), (1, 9)]:
        loss.begin_epoch(epoch)
        assert loss(z, y).item() == pytest.approx(losses[:n].mean().item(), rel=1e-6)
    assert small_loss(9, forget_rate=0.99)(z[:2], y[:2]).item() > 0


def test_gce_near_0_is_cross_entropy() -> None:
    y = torch.tensor([0, 1])
    cross_entropy = torch.nn.functional.cross_entropy(LOGITS, y).item()
    assert GCE(q=0.001)(LOGITS, y).item() == pytest.approx(cross_entropy, rel=2e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GCE(q=0.0), r"train\.loss\.q=0\.0: must be in 0\.001\.\.1"),
        (lambda: GCE(q=1.5), r"train\.loss\.q=1\.5"),
        (lambda: GCE(q=math.nan), r"train\.loss\.q=nan"),
        (lambda: SCE(alpha=-1, beta=1, log_zero=-4), r"train\.loss\.alpha=-1: must be at least 0"),
        (lambda: SCE(alpha=1, beta=-1, log_zero=-4), r"train\.loss\.beta=-1: must be at least 0"),
        (lambda: SCE(alpha=0, beta=0, log_zero=-4), r"train\.loss\.alpha=0 train\.loss\.beta=0: one"),
        (lambda: SCE(alpha=1, beta=1, log_zero=0), r"train\.loss\.log_zero=0: must be under 0"),
        (
            lambda: SmallLoss(forget_rate=1.0, n_gradual=1),
            r"train\.loss\.forget_rate=1\.0: must be in \[0, 1\)",
        ),
        (lambda: SmallLoss(forget_rate=0.2, n_gradual=0), r"train\.loss\.n_gradual=0: must be at least 1"),
    ],
)
def test_a_bad_hyperparameter_is_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises(BadInput, match=f"^{message}"):
        make()


def test_the_configs_have_the_papers_values() -> None:
    made = {}
    for name in ("cross_entropy", "gce", "sce", "small_loss"):
        loss = OmegaConf.load(CONF / "train" / "loss" / f"{name}.yaml")
        config = {"train": {"label_smoothing": 0.1, "loss": loss}}
        made[name] = instantiate(OmegaConf.create(config))["train"]["loss"]
    assert made["gce"] == GCE(q=0.7)
    assert made["sce"] == SCE(alpha=0.1, beta=1.0, log_zero=-4.0)
    assert (made["small_loss"].forget_rate, made["small_loss"].n_gradual) == (0.2, 10)
    assert made["cross_entropy"].label_smoothing == 0.1
