"""Training steps as CUDA graphs, TF32, and memory that runs out, on a CPU that pretends to be a CUDA device."""

import gc
import random

import pytest
import torch
from torch import nn

from hetal.errors import BadInput
from hetal.machine.arithmetic import float32_products, use_float32
from hetal.machine.process import unchanged
from hetal.models import MLP
from hetal.train.epoch import Training
from hetal.train.fitted import Fitted
from tests.cuda_runs import RESNET, fitting, prepared, queried, trained
from tests.pretend_cuda import Notes, pretend

EPOCHS = 4


def after_training(*overrides: str) -> tuple[list[torch.Tensor], list[float], Notes]:
    """Return all weights and losses after some epochs, and what was noted of the last."""
    with pretend() as device:
        with fitting(prepared("alg=badge", f"train.max_epochs={EPOCHS}", *overrides)) as training:
            for _ in range(EPOCHS - 1):
                training.epoch()
            with device.notes.only() as last:
                training.epoch()
        pair = training._training.pair
        weights = [t.cpu() for net in (pair.online, pair.ema) for t in net.state_dict().values()]
        return weights, training._training.losses, last


@pytest.mark.parametrize(
    "overrides",
    [
        # A learning rate and a share of the average that change, and masks that are drawn, at every step.
        ["model=mlp_dropout", "schedule=cosine", "optimizer.lr=0.01"],
        [*RESNET, "train.ema_on_batches=true", "train.clip=null", "train.clip_norm=1"],
        # Several batches of one shape in a gather.
        [
            "model.members=2",
            "optimizer=adamw",
            "train.augment=weak",
            "train.batch_size=8",
        ],
    ],
)
def test_steps_from_a_graph_are_plain_steps_but_for_rounding(overrides):
    plain, plain_losses, eager = after_training(*overrides)
    graphed, losses, last = after_training(*overrides, "train.graph=true")
    assert losses == pytest.approx(plain_losses, rel=1e-6)
    for one, other in zip(plain, graphed, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert last.launches.total() < eager.launches.total() / 2
    assert last.syncs.total() == eager.syncs.total() == 1


def test_training_that_pauses_for_fine_tuning_goes_on_from_its_graph():
    """Both share the moving average."""
    ends = []
    for graph in ("false", "true"):
        with pretend():
            tuning = [
                "finetune.confidence=0",
                "finetune.min_rows=1",
                "finetune.augment=null",
                "train.max_epochs=9",
            ]
            shape = [
                "alg=lhd_published",
                "finetune=published",
                f"train.graph={graph}",
                "train.stop.accuracy=2",
            ]
            training = trained(prepared(*shape, *tuning, "train.falling_epochs=1", "noise=clean"))
            fit = training.result()
            pair = fit.fitted.networks
            ends.append([t.cpu() for net in (pair.online, pair.ema) for t in net.state_dict().values()])
            assert fit.pseudo is not None
            assert fit.snapshot_epoch < 9
    for plain, graphed in zip(*ends, strict=True):
        torch.testing.assert_close(plain, graphed, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("override", "names"),
    [
        ("optimizer=sgd", "train.graph=true: not with SGD; with optimizer=adam or optimizer=adamw"),
        ("train.loss=small_loss", "train.graph=true: not with the loss SmallLoss"),
        ("model=mlp", "train.graph=true: a training step cannot be recorded as a CUDA graph .*graph=false"),
    ],
)
def test_what_a_graph_cannot_hold_is_refused_in_one_line(override, names, monkeypatch):
    forward = MLP.forward
    monkeypatch.setattr(
        MLP, "forward", lambda self, x: forward(self, x * (1 if x.mean().item() < 1e9 else 2))
    )
    with pretend(), pytest.raises(BadInput, match=names) as error:
        trained(prepared("alg=badge", "train.graph=true", override))
    assert "\n" not in str(error.value)


def test_what_draws_on_the_cpu_cannot_be_in_a_graph(monkeypatch):
    forward = MLP.forward
    monkeypatch.setattr(MLP, "forward", lambda self, x: forward(self, x * (1 + 0 * random.random())))
    with pretend(), pytest.raises(BadInput, match="the network or the loss draws random numbers on the CPU"):
        trained(prepared("alg=badge", "train.graph=true"))


def test_a_schedule_that_changes_more_than_the_learning_rate_is_refused():
    cycles = ["schedule=one_cycle", "schedule.cycle_momentum=true", "train.max_epochs=5"]
    with (
        pretend(),
        pytest.raises(BadInput, match=r"train.graph=true: not with a schedule that changes betas"),
    ):
        trained(prepared("alg=badge", "train.graph=true", *cycles))


@pytest.mark.parametrize("graph", ["true", "false"])
def test_a_round_leaves_no_training_behind(graph):
    gc.collect()
    gc.disable()
    try:
        with pretend():
            fitted = trained(prepared("alg=badge", f"train.graph={graph}")).result()
            assert not [thing for thing in gc.get_objects() if type(thing) is Training]
        assert fitted
    finally:
        gc.enable()


def test_products_are_true_float32_unless_tf32_is_chosen_and_selection_always(monkeypatch):
    monkeypatch.setenv("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "1")
    seen = {}

    class Looks(nn.Linear):
        def forward(self, x):
            seen[self.training] = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
            return super().forward(x)

    def look(fitted):
        seen["query"] = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    monkeypatch.setattr("hetal.models.mlp.nn.Linear", Looks)
    true, tf32 = ("highest", False), ("high", True)
    for precision, products in (("fp32", true), ("tf32", tf32), ("bf16", true)):
        with float32_products(True), pretend():  # as torch may begin
            setup = prepared("alg=random", f"train.precision={precision}")
            monkeypatch.setattr(
                type(setup.strategy), "query", lambda s, f, p, n, rng: look(f) or p.unlabelled_ids()[:n]
            )
            training = trained(setup)
            _ = training.result().fitted.probs_MC
            queried(setup, training)
        assert seen == {True: products, False: products, "query": true}


@pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="torch is older than these names")
def test_precision_set_by_newer_names_is_kept_outside():
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    with float32_products():
        cudnn.conv.fp32_precision, matmul.fp32_precision = "ieee", "tf32"
        with float32_products():
            assert torch.get_float32_matmul_precision() == "highest"
            assert not cudnn.allow_tf32
        assert (cudnn.conv.fp32_precision, matmul.fp32_precision) == ("ieee", "tf32")
        use_float32()
        with (
            pytest.raises(BadInput, match=r"mine changed torch\.backends\.cudnn\.allow_tf32"),
            unchanged("mine"),
        ):
            cudnn.conv.fp32_precision = "tf32"
    assert torch.get_float32_matmul_precision() == "highest"


def test_scoring_goes_on_with_half_a_batch_where_memory_runs_out(capsys):
    with pretend() as device:
        setup = prepared("alg=badge", "data.n_train=1000", *RESNET)
        training = trained(setup)
        whole = training.result().fitted.probs_MC.cpu()
        needed = device.peak - device.live
    assert needed > 0
    with pretend() as device:
        setup = prepared("alg=badge", "data.n_train=1000", *RESNET)
        fitted: Fitted = trained(setup).result().fitted
        device.memory = device.live + needed // 2
        torch.testing.assert_close(fitted.probs_MC.cpu(), whole, rtol=1e-5, atol=1e-6)
        assert fitted.watch.seconds > 0  # by the events of the device
        device.memory = device.live + needed // 2
        with pytest.raises(torch.OutOfMemoryError):  # whose size its outputs depend on
            fitted.train_mode_outputs(fitted.networks.online, setup.pool.images_M, 1024)
    said = capsys.readouterr().err
    assert said.startswith(
        "train.score_batch_size=1024: too large for the memory of the GPU, going on with 512"
    )
