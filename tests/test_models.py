"""Networks: shapes, what they take and what they refuse."""

import math
import sys
import threading
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

from hetal.errors import BadInput, Diverged
from hetal.guard.network import check_network
from hetal.models.mlp import MLP
from hetal.models.resnet import ResNet
from hetal.models.vgg import VGG
from tests import mock_timm
from tests.command_line import TOY, records, run_here
from tests.toy import blobs, make_learner

MODELS = sorted(Path("conf/model").glob("*.yaml"))


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)], ids=str)
def test_takes_the_papers_images(path, shape, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", mock_timm)
    deepest = {"wide_resnet": {"width": 1}, "torchvision": {"name": "shufflenet_v2_x0_5"}}
    settings = OmegaConf.merge(OmegaConf.load(path), deepest.get(path.stem, {}))
    network = instantiate(settings)(shape, 7)
    logits, features = network(torch.rand(3, *shape))
    assert logits.shape == (3, 7)
    torch.testing.assert_close(network.head(features), logits)
    assert all(p.grad is None for p in network.parameters())
    logits.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_sizes_of_the_papers_networks():
    assert MLP((3, 32, 32), 10, [256], 0.0).body[1].weight.shape == (256, 3072)
    thin = ResNet((3, 32, 32), 10, [16, 32, 64, 128], [2, 2, 2, 2])
    assert thin.head.in_features == 128
    # He et al.'s ResNet-18 for 10 classes and 32x32 images has 11,173,962 weights.
    usual = ResNet((3, 32, 32), 10, [64, 128, 256, 512], [2, 2, 2, 2])
    assert sum(p.numel() for p in usual.parameters()) == 11_173_962
    vgg = VGG((3, 32, 32), 10, [64, 128, 256, 512, 512], [2, 2, 3, 3, 3])
    assert sum(isinstance(m, torch.nn.Conv2d) for m in vgg.modules()) == 13
    assert vgg.head.in_features == 512


@pytest.mark.parametrize("shape", [(1, 8, 8), (2,)], ids=str)
def test_mlp_takes_small_images_and_vectors(shape):
    assert MLP(shape, 4, [5, 6], 0.5)(torch.rand(2, *shape))[1].shape == (2, 6)


@pytest.mark.parametrize("make", [lambda s: ResNet(s, 4, [8], [1]), lambda s: VGG(s, 4, [8], [1])])
@pytest.mark.parametrize("shape", [(2,), (1, 7, 9)], ids=str)
def test_convolutions_refuse_what_they_cannot_take(make, shape):
    with pytest.raises(BadInput, match=r"model=\w+ takes images"):
        make(shape)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: MLP((4,), 2, [], 0.0), "model.widths"),
        (lambda: MLP((4,), 2, [3], 1.0), "model.dropout"),
        (lambda: ResNet((1, 8, 8), 2, [8, 8], [1]), "model.blocks"),
        (lambda: VGG((1, 16, 16), 2, [8, 0], [1, 1]), "model.convolutions"),
    ],
)
def test_refuses_sizes_that_make_no_network(make, names):
    with pytest.raises(BadInput, match=names):
        make()


# ---- a user's own network, before any training


class Own(nn.Module):
    """A network that keeps the contract, to be broken one way at a time."""

    def __init__(self, image_shape, n_classes):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(image_shape), 6))
        self.head = nn.Linear(6, n_classes)

    def forward(self, x):
        h = self.body(x)
        return self.broken(self.head(h), h)

    def broken(self, logits, h):
        return logits, h


def breaks(**changes):
    return type("Own", (Own,), changes)


class Frozen(Own):
    def __init__(self, *args):
        super().__init__(*args)
        self.requires_grad_(False)


class Lazy(Own):
    def __init__(self, image_shape, n_classes):
        super().__init__(image_shape, n_classes)
        self.body = nn.Sequential(nn.Flatten(), nn.LazyLinear(6))


class Uncopied(Own):
    def __init__(self, *args):
        super().__init__(*args)
        self.lock = threading.Lock()


class Normal(Own):
    def __init__(self, image_shape, n_classes):
        super().__init__(image_shape, n_classes)
        self.body.append(nn.BatchNorm1d(6))


def wrong(self, x):
    raise KeyError("weights")


BROKEN = {
    "model: Own gives one Tensor; forward must return two tensors": breaks(broken=lambda self, y, h: y),
    "model: Own gives 3 things": breaks(broken=lambda self, y, h: (y, h, h)),
    "model: Own gives NoneType for features": breaks(broken=lambda self, y, h: (y, None)),
    "model: Own gives one dict": breaks(broken=lambda self, y, h: {"logits": y, "features": h}),
    "model: Own gives logits of shape (2, 6)": breaks(broken=lambda self, y, h: (h, y)),
    "model: Own gives logits of shape (2, 3, 1)": breaks(broken=lambda self, y, h: (y[:, :, None], h)),
    "model: Own gives logits of shape (1, 3)": breaks(broken=lambda self, y, h: (y[:1], h)),
    "model: Own gives features of shape (2, 6, 1, 1)": breaks(
        broken=lambda self, y, h: (y, h[:, :, None, None])
    ),
    "model: Own gives features of shape (2,)": breaks(broken=lambda self, y, h: (y, h[:, 0])),
    "model: Own gives features of shape (6, 2)": breaks(broken=lambda self, y, h: (y, h.T)),
    "model: Own gives features of shape (2, 0)": breaks(broken=lambda self, y, h: (y, h[:, :0])),
    "model: Own gives logits of torch.float64": breaks(broken=lambda self, y, h: (y.double(), h)),
    "model: Own gives features of torch.int64": breaks(broken=lambda self, y, h: (y, h.long())),
    "model: Own gives logits on meta": breaks(broken=lambda self, y, h: (y.to("meta"), h)),
    "model: Own gives NaN or infinity before any training": breaks(broken=lambda self, y, h: (y / 0, h)),
    "model: Own gives logits without a gradient": breaks(broken=lambda self, y, h: (y.detach(), h)),
    "model: Own fails on vectors of 2 features: KeyError: 'weights' (": breaks(forward=wrong),
    "model: Frozen has no trainable parameters": Frozen,
    "model: Lazy has lazy layers": Lazy,
    "model: Uncopied cannot be copied: TypeError": Uncopied,
    "model: tests.test_models.<lambda> gives a str; it must give a Module": lambda shape, n: "network",
    "model: tests.test_models.<lambda> fails: ZeroDivisionError": lambda shape, n: 1 // 0,
}


def checked(network, n_start=4, **changes):
    learner = make_learner(changes.pop("task", blobs()), network=network, **changes)
    check_network(learner.new_network(), learner, n_start)


@pytest.mark.parametrize("fault", BROKEN)
def test_a_users_network_is_refused_by_what_it_gives(fault):
    with pytest.raises(BadInput) as caught:
        checked(BROKEN[fault])
    assert str(caught.value).startswith(fault)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_network_that_keeps_the_contract_is_taken(precision):
    for network in (Own, Normal, breaks(broken=lambda self, y, h: [y, h])):
        checked(network, precision=precision)
    checked(Own, n_start=1, batch_size=1)
    with pytest.raises(BadInput, match="model: Own gives one Tensor"):
        checked(breaks(broken=lambda self, y, h: y), precision="bf16")


def test_batch_norm_refuses_one_row_by_the_setting_that_gives_it():
    with pytest.raises(BadInput, match=r"^n_start=1: model: Normal cannot train on one row, as batch norm"):
        checked(Normal, n_start=1)
    with pytest.raises(BadInput, match=r"^train\.batch_size=1: model: Normal cannot train on one row"):
        checked(Normal, batch_size=1)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["model=resnet", "n_start=1"], r"n_start=1: model: ResNet cannot train on one row"),
        (
            ["model=resnet", "train.batch_size=1"],
            r"train\.batch_size=1: model: ResNet cannot train on one row",
        ),
        (["model=vgg"], r"model=vgg takes images \(C, H, W\) of at least 16x16, not \(1, 8, 8\)"),
        (
            ["model._target_=tests.test_models.OneOutput", "~model.widths", "~model.dropout"],
            "gives one Tensor",
        ),
        (
            ["model._target_=torch.nn.Linear", "~model.widths", "~model.dropout"],
            "model: torch.nn.modules.linear.Linear fails: TypeError",
        ),
    ],
)
def test_what_no_network_can_train_on_is_said_before_anything_is_written(overrides, said, tmp_path):
    with pytest.raises(BadInput, match=said):
        run_here(*TOY, *overrides, root=tmp_path)
    assert list(tmp_path.iterdir()) == []


OneOutput = breaks(broken=lambda self, y, h: y)


def test_the_check_draws_nothing_that_a_run_draws(tmp_path, monkeypatch):
    run_here(*TOY, "model=mlp_dropout", root=tmp_path / "with")
    monkeypatch.setattr("hetal.experiment.check_network", lambda *_: None)
    run_here(*TOY, "model=mlp_dropout", root=tmp_path / "without")
    assert records(tmp_path / "with") == records(tmp_path / "without")


class Turning(Own):
    """Gives NaN for the images of one corner, once it has been trained."""

    def broken(self, logits, h):
        bad = (self.seen > 0) & (h.detach()[:, :1] > h.detach()[:, :1].median())
        self.seen += int(self.training)
        return logits, torch.where(bad & (not self.training), torch.nan, h)

    def __init__(self, *args):
        super().__init__(*args)
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))


def test_outputs_that_are_not_finite_end_the_run_at_the_moment(tmp_path):
    with pytest.raises(
        Diverged, match=r"^round 0, the network gives NaN or infinity for \d+ of \d+ images; "
    ):
        run_here(
            *TOY, "model._target_=tests.test_models.Turning", "~model.widths", "~model.dropout", root=tmp_path
        )
    assert not list(tmp_path.rglob("rounds.jsonl"))


def test_a_round_whose_test_is_not_finite_is_not_recorded(tmp_path):
    """At the last round nothing is queried; the test alone reads the network."""
    with pytest.raises(Diverged, match=r"^round 0, the network gives NaN"):
        run_here(
            *TOY, "n_end=40", "model._target_=tests.test_models.Turning", "~model.widths", "~model.dropout",
            root=tmp_path,
        )  # fmt: skip
    assert not list(tmp_path.rglob("rounds.jsonl"))
