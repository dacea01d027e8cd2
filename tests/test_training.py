"""The step: Adam, clipping, precision and layout, against torch's own."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from hetal.models.mlp import MLP
from hetal.models.resnet import ResNet
from hetal.rng import stream
from hetal.task import Examples, Task
from hetal.train.epoch import clip_by_value
from hetal.train.optim import Adam
from hetal.train.precision import MIN_CHANNELS, InBfloat16, arrange, lacks_bfloat16, takes_channels_last
from tests.toy import blobs, labelled_pool, make_learner


def test_adam_gives_the_bits_of_torchs_class():
    rng = torch.Generator().manual_seed(0)
    ours = [torch.randn(shape, generator=rng) for shape in ((5, 3), (7,), ())]
    theirs = [nn.Parameter(p.clone()) for p in ours]
    mine, reference = Adam(ours, lr=0.01), torch.optim.Adam(theirs, lr=0.01, fused=True)
    for _ in range(20):
        gradients = [torch.randn(p.shape, generator=rng) for p in ours]
        for p, g in zip(theirs, gradients, strict=True):
            p.grad = g.clone()
        mine.step(gradients)
        reference.step()
    for p, q in zip(ours, theirs, strict=True):
        assert torch.equal(p, q)


def test_clipping_is_torchs():
    rng = torch.Generator().manual_seed(0)
    parameters = [nn.Parameter(torch.zeros(4, 4)), nn.Parameter(torch.zeros(3))]
    for p in parameters:
        p.grad = torch.randn(p.shape, generator=rng)
    gradients = [p.grad.clone() for p in parameters]
    nn.utils.clip_grad_value_(parameters, 0.5)
    clip_by_value(gradients, 0.5)
    assert all(torch.equal(p.grad, g) for p, g in zip(parameters, gradients, strict=True))
    assert max(float(g.abs().max()) for g in gradients) == 0.5


def test_how_much_is_gathered_at_once_changes_nothing_and_leaves_no_row_alone(monkeypatch):
    rng = torch.Generator().manual_seed(0)
    examples = Examples(
        torch.randint(0, 256, (17, 1, 8, 8), dtype=torch.uint8, generator=rng), torch.arange(17) % 3
    )
    task = Task(examples, examples, 3, mean=(128.0,), std=(64.0,))
    weights = []
    for numbers in (2**20, 1):  # all 17 rows, then a batch of 8 and one of 9
        monkeypatch.setattr("hetal.train.epoch.NUMBERS_PER_GATHER", {"cpu": numbers})
        learner = make_learner(task, network=lambda shape, n: ResNet(shape, n, [4, 4, 4, 4], [1, 1, 1, 1]))
        fit = learner.fit(labelled_pool(task, 17), stream(0, "fit"))
        weights.append([p.tolist() for p in fit.fitted.networks.online.parameters()])
    assert weights[0] == weights[1]


def test_a_parameter_that_nothing_reads_is_left_alone():
    class Idle(MLP):
        def __init__(self, shape, n):
            super().__init__(shape, n, [8], 0.0)
            self.idle = nn.Parameter(torch.ones(3))

    task = blobs()
    fit = make_learner(task, network=Idle).fit(labelled_pool(task, 20), stream(0, "fit"))
    assert fit.fitted.networks.online.idle.tolist() == [1, 1, 1]


def test_bfloat16_takes_and_gives_float32_and_learns():
    task = blobs()
    learner = make_learner(task, precision="bf16", lr=0.05, max_epochs=30)
    fitted = learner.fit(labelled_pool(task, 30), stream(0, "fit"), snapshot=True).fitted
    assert fitted.probs_MC.dtype == fitted.features_MD.dtype == torch.float32
    assert {p.dtype for p in fitted.networks.online.parameters()} == {torch.float32}
    assert (fitted.probs_MC.argmax(1) == task.train.labels).float().mean() > 0.9
    x = torch.randn(4, 2)
    plain = fitted.networks.online.network
    assert not torch.equal(plain(x)[0], fitted.networks.online(x)[0])
    torch.testing.assert_close(plain(x)[0], fitted.networks.online(x)[0], rtol=0.05, atol=0.05)


@pytest.mark.parametrize("widths", [[16, 16, 32, 32], [4, 8, 8, 12]])
def test_layout_changes_no_more_than_rounding(widths):
    torch.manual_seed(0)
    plain = ResNet((3, 8, 8), 5, widths, [1, 1, 1, 1])
    arranged = arrange(copy.deepcopy(plain))
    x, y = torch.randn(6, 3, 8, 8), torch.arange(6) % 5
    gradients = []
    for network in (plain, arranged):
        logits, _ = network(x)
        gradients.append(torch.autograd.grad(cross_entropy(logits, y), list(network.parameters())))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_only_safe_convolutions_are_laid_out_anew():
    network = arrange(ResNet((3, 8, 8), 5, [4, 8, 16, 16], [1, 1, 1, 1]))
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1):
            few = min(module.in_channels, module.out_channels) < MIN_CHANNELS
            assert module.weight.is_contiguous(memory_format=torch.channels_last) != few
    assert not takes_channels_last(network)
    assert not takes_channels_last(MLP((2,), 3, [4], 0.0))
    # A grouped convolution has the channels of a group, and takes the layout of what comes before it.
    grouped = nn.Sequential(nn.Conv2d(8, 16, 3), nn.Conv2d(16, 16, 3, groups=16))
    assert not takes_channels_last(grouped)
    assert all(layer.weight.is_contiguous() for layer in arrange(grouped))
    assert takes_channels_last(nn.Sequential(nn.Conv2d(8, 16, 3), nn.Conv2d(16, 16, 3, groups=2)))
    assert takes_channels_last(InBfloat16(nn.Conv2d(8, 8, 3)))


def test_a_machine_says_whether_it_has_bfloat16(monkeypatch):
    for has in (True, False):
        monkeypatch.setattr(
            torch.cpu,
            "get_capabilities",
            lambda has=has: {"avx512_bf16": has, "amx_bf16": False},
            raising=False,
        )
        assert lacks_bfloat16(torch.device("cpu")) != has


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
@pytest.mark.parametrize("is_last", [False, True], ids=["vectors", "channels last"])
def test_whether_rows_are_kept_standardised_changes_nothing(is_last, dtype, monkeypatch):
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(256, (40, MIN_CHANNELS, 8, 8) if is_last else (40, 6), generator=rng).to(dtype)
    before, examples = images.clone(), Examples(images, torch.arange(40) % 3)
    task = Task(examples, examples, 3, mean=(128.0,), std=(64.0,))
    weights = []
    for numbers in (2**26, 0):
        monkeypatch.setattr("hetal.train.epoch.NUMBERS_KEPT", numbers)
        learner = make_learner(
            task,
            network=lambda shape, n: ResNet(shape, n, [8] * 4, [1] * 4) if is_last else MLP(shape, n, [8], 0),
        )
        fit = learner.fit(labelled_pool(task, 40), stream(0, "fit"))
        assert takes_channels_last(fit.fitted.networks.online) == is_last
        weights.append([p.tolist() for p in fit.fitted.networks.online.parameters()])
    assert weights[0] == weights[1]
    assert torch.equal(images, before)
