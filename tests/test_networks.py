"""Networks that hetal did not write: given features, taken from a library by name, with weights from a file."""

import copy
import pickle
import sys

import pytest
import torch
from torch import nn

from hetal.errors import BadInput
from hetal.guard.network import check_network
from hetal.models import Linear, Timm, TorchVision, WideResNet, ensemble_of, with_features
from hetal.models.weights import load_body, read_weights
from hetal.record.provenance import made_by
from tests import mock_timm
from tests.toy import blobs, make_learner

SMALL = "shufflenet_v2_x0_5"  # built in a tenth of a second


def two_layers(*after):
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 3), *after)


# ---- hetal's own


def test_the_features_of_a_linear_network_are_its_input():
    x = torch.rand(4, 1, 2, 3)
    network = Linear((1, 2, 3), 7)
    logits, features = network(x)
    assert torch.equal(features, x.flatten(1))
    assert torch.equal(network.head(features), logits)


def test_sizes_of_published_wide_networks():
    counts = [
        sum(p.numel() for p in WideResNet((3, 32, 32), 10, depth, width, 0.0).parameters())
        for depth, width in ((28, 10), (16, 4))
    ]
    assert counts == [36_479_194, 2_748_890]  # 36.5M and 2.7M


def test_a_wide_network_takes_digits_and_drops_in_training_only():
    network = WideResNet((1, 8, 8), 4, 10, 1, 0.5)
    x = torch.rand(5, 1, 8, 8)
    assert network(x)[1].shape == (5, 64)
    assert sum(isinstance(m, nn.Dropout) for m in network.modules()) == 3
    network.eval()
    assert torch.equal(network(x)[0], network(x)[0])


def test_a_wide_block_adds_its_input():
    network = WideResNet((1, 8, 8), 4, 16, 1, 0.0).eval()
    block = network.body[2]  # the second of its stage, which changes no shape
    nn.init.zeros_(block.residual[-1].weight)
    x = torch.randn(2, 16, 8, 8)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (((2,), 3, 10, 1, 0.0), "model=wide_resnet takes images"),
        (((1, 3, 8), 3, 10, 1, 0.0), "at least 4x4"),
        (((1, 8, 8), 3, 12, 1, 0.0), r"model.depth=12: must be 6n \+ 4"),
        (((1, 8, 8), 3, 4, 1, 0.0), "model.depth=4"),
        (((1, 8, 8), 3, 10, 0, 0.0), "model.width=0"),
        (((1, 8, 8), 3, 10, 1, 1.0), "model.dropout=1.0"),
    ],
)
def test_a_wide_network_refuses_other_sizes(settings, said):
    with pytest.raises(BadInput, match=said):
        WideResNet(*settings)


# ---- features of a network that gives logits


class Ordered(nn.Module):
    """Its head is made before the rest, under two names, and it calls another linear layer twice."""

    def __init__(self):
        super().__init__()
        self.head = self.again = nn.Linear(5, 3)
        self.inner = nn.Linear(5, 5)
        self.norm = nn.BatchNorm1d(5).eval()

    def forward(self, x):
        return self.head(self.norm(self.inner(self.inner(x)).relu()))


@pytest.mark.parametrize("make", [two_layers, Ordered, lambda: nn.Linear(6, 3)], ids=["list", "class", "one"])
def test_a_network_that_gives_logits_is_given_features(make):
    plain = make()
    width = 5 if isinstance(plain, Ordered) else 6
    modes = {name: module.training for name, module in plain.named_modules()}
    wrapped = with_features(copy.deepcopy(plain), (width,))
    assert {m.training for m in wrapped.modules() if isinstance(m, nn.Dropout)} <= {True}
    assert wrapped.body.training == modes[""]
    x = torch.randn(4, width)
    logits, features = wrapped.eval()(x)
    assert torch.equal(logits, plain.eval()(x))
    assert torch.equal(wrapped.head(features), logits)
    logits.square().sum().backward()
    assert all(p.grad.any() for p in wrapped.parameters())
    assert len(list(wrapped.parameters())) == len(list(plain.parameters()))
    copied = copy.deepcopy(wrapped)  # as for its moving average
    nn.init.zeros_(wrapped.head.weight)
    assert torch.equal(copied(x)[0], logits)


def test_what_a_network_froze_stays_frozen():
    assert not with_features(Ordered(), (5,)).body.norm.training


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(self.layer(x).relu())


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (two_layers(nn.LogSoftmax(1)), "Sequential does not return the output of a torch.nn.Linear"),
        (two_layers(nn.ReLU(inplace=True)), "does not return the output"),
        (nn.Sequential(nn.Flatten()), "does not return the output"),
        (nn.GRU(6, 3), "GRU gives a tuple; with_features takes a network that gives one tensor"),
        (nn.Sequential(nn.Linear(6, 3), Twice()), "calls its last linear layer, 1.layer, more than once"),
    ],
)
def test_a_network_without_a_linear_head_is_refused(network, said):
    with pytest.raises(BadInput, match=f"^model: .*{said}"):
        with_features(network, (6,))


def test_the_check_names_the_wrapper_and_the_network_in_it():
    plain = lambda shape, n: nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, n))  # noqa: E731
    learner = make_learner(blobs(), network=plain)
    with pytest.raises(
        BadInput, match=r"gives one Tensor.*; hetal\.models\.with_features\(network, image_shape\)"
    ):
        check_network(learner.new_network(), learner, 4)
    learner = make_learner(blobs(), network=lambda shape, n: with_features(plain(shape, n), shape))
    check_network(learner.new_network(), learner, 4)
    learner = make_learner(blobs(), network=lambda shape, n: with_features(plain(shape, n + 1), shape))
    with pytest.raises(BadInput, match=r"^model: Sequential gives logits of shape \(2, 4\)"):
        check_network(learner.new_network(), learner, 4)


# ---- libraries


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    make = TorchVision(SMALL, None, None, None)
    network = make((1, 28, 28), 4)
    torch.manual_seed(0)
    return network, make((1, 28, 28), 4)


def test_a_classifier_by_name(small):
    network, again = small
    for one, other in zip(network.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    grey = torch.rand(3, 1, 28, 28)
    logits, features = network(grey)
    assert (logits.shape, features.shape) == ((3, 4), (3, 1024))
    assert torch.equal(network.head(features), logits)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())
    again.eval()
    assert torch.equal(again(grey)[0], again(grey.expand(-1, 3, -1, -1))[0])


def test_images_are_resized():
    resized = []
    network = TorchVision(SMALL, None, 40, None)((1, 20, 28), 3).eval()
    network.body[1].register_forward_pre_hook(lambda module, inputs: resized.extend(inputs))
    network(torch.rand(2, 1, 20, 28))
    assert resized[0].shape == (2, 3, 40, 40)


def test_statistics_of_batch_norm_keep_up_with_short_training():
    def momenta(momentum):
        network = Timm("resnet18", None, None, momentum)((1, 5, 5), 3)
        return {module.momentum for module in network.modules() if isinstance(module, nn.BatchNorm2d)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "timm", mock_timm)
        assert (momenta(None), momenta(0.2)) == ({0.01}, {0.2})


def test_classifiers_by_name_make_ensembles():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "timm", mock_timm)
        ensemble = ensemble_of(Timm("resnet18", None, 6, 0.1), 2)((1, 5, 5), 3)
    x = torch.rand(4, 1, 5, 5)
    for k, (logits, features) in enumerate(zip(*ensemble.eval().members(x), strict=True)):
        alone = ensemble.member(k)(x)
        torch.testing.assert_close((logits, features), alone)


def test_classifiers_have_no_auxiliary_heads():
    network = TorchVision("googlenet", None, None, None)((1, 28, 28), 3)
    assert isinstance(network(torch.rand(2, 1, 28, 28))[0], torch.Tensor)
    assert not any("aux" in name for name in network.state_dict())


@pytest.mark.parametrize(
    ("settings", "shape", "said"),
    [
        (("resnett18", None, None, None), None, "torchvision has no such classifier; did you mean resnet18"),
        (("q", None, None, None), None, "torchvision has no such classifier; there are alexnet"),
        ((SMALL, None, 0, None), None, "model.resize=0: must be at least 1, or null"),
        (
            ("squeezenet1_1", None, None, None),
            (3, 28, 28),
            "squeezenet1_1: SqueezeNet does not return the output of",
        ),
        (
            (SMALL, None, None, None),
            (2, 28, 28),
            r"takes images of 1 or 3 channels, \(C, H, W\), not \(2, 28, 28\)",
        ),
        ((SMALL, None, None, None), (5,), "takes images of 1 or 3 channels"),
    ],
    ids=str,
)
def test_what_no_classifier_can_be_made_of(settings, shape, said):
    with pytest.raises(BadInput, match=said) as caught:
        TorchVision(*settings)(shape, 3)
    assert "\n" not in str(caught.value)


def test_timm_by_name_where_it_is_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(BadInput, match=r"^model=timm needs the package timm: pip install 'hetal\[timm\]'$"):
        Timm("resnet18", None, None, None)
    monkeypatch.setitem(sys.modules, "timm", mock_timm)
    network = Timm("resnet18", None, None, None)((1, 5, 5), 3)
    logits, features = network(torch.rand(2, 1, 5, 5))
    assert torch.equal(network.head(features), logits)
    for name in ("resnet", "hf-hub:owner/network"):  # which timm would download
        with pytest.raises(BadInput, match=f"model.name={name}: timm has no such classifier"):
            Timm(name, None, None, None)
    with pytest.raises(BadInput, match=r"large: fails on images of 5x5 \(RuntimeError.*; model.resize=SIDE"):
        Timm("large", None, None, None)((1, 5, 5), 3)
    assert Timm("large", None, 32, None)((1, 5, 5), 3)(torch.rand(2, 1, 5, 5))[0].shape == (2, 3)
    with pytest.raises(BadInput, match=r"convolutional: Sequential does not return .*; choose another"):
        Timm("convolutional", None, None, None)((1, 5, 5), 3)


def test_the_version_of_timm_is_recorded_where_it_is_used():
    assert "timm" in made_by({"model": {"_target_": "hetal.models.Timm"}})
    assert "timm" not in made_by({"model": {"_target_": "hetal.models.TorchVision"}})


# ---- weights


def test_weights_are_read_but_for_the_head(small, tmp_path):
    network, _ = small
    published = {name.removeprefix("1."): value for name, value in network.body.state_dict().items()}
    published = {name: value for name, value in published.items() if "num_batches" not in name}
    published |= {"fc.weight": torch.zeros(1000, 1024), "fc.bias": torch.zeros(1000)}
    torch.save(published, tmp_path / "weights.pth")
    torch.manual_seed(5)
    made = TorchVision(SMALL, str(tmp_path / "weights.pth"), None, None)((3, 28, 28), 6)
    for name, value in made.body[1].state_dict().items():
        assert "num_batches" in name or torch.equal(value, published[name]), name
    assert made.head.weight.shape == (6, 1024)
    assert made.head.weight.any()


def test_weights_of_another_network_are_refused():
    network = two_layers()
    weights = network.state_dict() | {"aux.weight": torch.zeros(1)}
    load_body(network, weights, "4", "FILE", ignored=("aux.",))
    wrong = {"1.weight": torch.zeros(5, 7), "more": torch.zeros(1), "other": torch.zeros(1)}
    with pytest.raises(BadInput) as caught:
        load_body(network, wrong, "4", "model.weights=FILE")
    assert str(caught.value) == (
        "model.weights=FILE: holds the weights of another network: 1 missing (1.bias), "
        "2 unexpected (more, ...), 1 of another shape (1.weight (5, 7) for (5, 6))"
    )


def test_published_names_of_densenets_are_understood():
    named = {"features.denseblock1.denselayer2.norm.1.weight": torch.zeros(1)}
    assert [*TorchVision.renamed(None, named)] == ["features.denseblock1.denselayer2.norm1.weight"]


def fault(path):
    with pytest.raises(BadInput) as caught:
        read_weights(str(path))
    said = str(caught.value)
    assert said.startswith(f"model.weights={path}: ")
    assert "\n" not in said
    return said.removeprefix(f"model.weights={path}: ")


class Code:
    def __reduce__(self):
        return print, ("code of a file was run",)


def test_files_that_hold_no_weights(tmp_path, capsys, monkeypatch):
    assert fault(tmp_path / "none.pth") == "cannot be read: No such file or directory"
    assert fault(tmp_path) == "cannot be read: Is a directory"
    assert fault("x" * 300) == "cannot be read: File name too long"
    file = tmp_path / "file.pth"
    file.write_bytes(pickle.dumps(Code()))
    assert fault(file).startswith("is damaged, or holds more than tensors and plain values")
    torch.save({"fc": Code()}, file)
    assert "never unpickled" in fault(file)
    assert capsys.readouterr().out == ""
    torch.save(two_layers().state_dict(), file)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert "damaged" in fault(file)
    file.write_bytes(b"")
    assert "damaged" in fault(file)
    torch.save({"state_dict": two_layers().state_dict(), "epoch": 3}, file)
    assert fault(file).startswith("holds a OrderedDict at 'state_dict'; it must be a state dict")
    torch.save(torch.zeros(3), file)
    assert fault(file) == "holds a Tensor; it must be a state dict"
    torch.save({"head.weight": torch.zeros(3, dtype=torch.complex64)}, file)
    assert fault(file) == "holds complex numbers at 'head.weight'; weights are real"
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    (tmp_path / "file.safetensors").write_bytes(whole)
    assert fault(tmp_path / "file.safetensors").startswith("needs the package safetensors: pip install")


def test_safetensors_are_read(tmp_path):
    save_file = pytest.importorskip("safetensors.torch").save_file
    file = tmp_path / "file.safetensors"
    weights = {name: value.contiguous() for name, value in two_layers().state_dict().items()}
    save_file(weights, file)
    read = read_weights(str(file))
    assert read.keys() == weights.keys()
    assert all(torch.equal(read[name], weights[name]) for name in weights)
    file.write_bytes(file.read_bytes()[:-5])
    assert fault(file).startswith("is no safetensors file, or damaged: ")
