"""Networks: shapes, what they take and what they refuse."""

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from hetal.errors import BadInput
from hetal.models.mlp import MLP
from hetal.models.resnet import ResNet
from hetal.models.vgg import VGG

MODELS = sorted(Path("conf/model").glob("*.yaml"))


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)], ids=str)
def test_takes_the_papers_images(path, shape):
    network = instantiate(OmegaConf.load(path))(shape, 7)
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
