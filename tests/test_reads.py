"""What a strategy may read: the head, given features, test inputs, and the networks after every epoch."""

import io
from functools import partial

import pytest
import torch
from torch import nn

from hetal.algs import QueryStrategy, Random
from hetal.errors import BadInput
from hetal.experiment import Experiment
from hetal.guard.query import CheckedStrategy
from hetal.loop import run
from hetal.models.ensemble import ensemble_of
from hetal.models.mlp import MLP
from hetal.models.resnet import ResNet
from hetal.noise import no_noise
from hetal.record.checkpoint import Checkpoint
from hetal.record.history import History
from hetal.rng import stream
from hetal.testing import check_strategy
from hetal.train.finetune import PseudoLabel
from hetal.train.fit import Fitting
from hetal.train.fitted import Fitted, Pair
from hetal.train.optim import Adam
from hetal.train.precision import InBfloat16
from tests.command_line import TOY, only, records, run_here
from tests.forgetting import Dies, Forgetting
from tests.toy import blobs, labelled_pool, make_learner


def fitted_of(network, images=None, task=None) -> Fitted:
    task = task or blobs()
    images = task.train.images if images is None else images
    return Fitted(Pair(network, network), images, make_learner(task).prepare(network), 16)


def images(n=6):
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 3, 8, 8), dtype=torch.uint8, generator=rng)


@pytest.mark.parametrize("wrap", [lambda network: network, InBfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("name", ["mlp", "resnet"])
def test_the_head_is_the_last_layer(name, wrap):
    torch.manual_seed(0)
    network = MLP((3, 8, 8), 3, [8, 3], 0.5) if name == "mlp" else ResNet((3, 8, 8), 3, [4, 8], [1, 1])
    fitted = fitted_of(wrap(network), images())
    assert torch.equal(fitted.head.weight_CD, network.head.weight)
    assert torch.allclose(fitted.head(fitted.features_MD), fitted.logits_MC, atol=0.05)
    assert torch.equal(fitted.probs_MC, fitted.logits_MC.softmax(1))
    fitted.head.weight_CD.zero_()
    assert network.head.weight.abs().sum() > 0


class Cosine(nn.Module):
    """Its logits are linear in normed features, not in those that it returns."""

    def __init__(self, shape, n_classes):
        super().__init__()
        self.head = nn.Linear(2, n_classes, bias=False)

    def forward(self, x):
        return self.head(nn.functional.normalize(x)), x


class ReadsHead(Random):
    reads_head = True


def experiment(**parts) -> Experiment:
    task = blobs()
    return Experiment(
        **{
            "data": lambda rng: task,
            "noise": no_noise,
            "model": lambda shape, n: MLP(shape, n, [16], 0.0),
            "train": lambda task, network, **more: make_learner(task, network=network),
            "optimizer": partial(Adam, lr=1e-2),
            "alg": Random(),
            "n_start": 6,
            "n_query": 3,
            "n_end": 12,
            "seed": 0,
            **parts,
        }
    )


def prepared(**parts):
    return experiment(**parts).prepare(torch.device("cpu"))


def test_a_network_without_a_linear_head_is_refused_before_training():
    prepared(alg=ReadsHead())
    prepared(alg=Random(), model=Cosine)
    prepared(alg=ReadsHead(), model=ensemble_of(lambda shape, n: MLP(shape, n, [4], 0.0), 2))
    for model in (Cosine, ensemble_of(Cosine, 2)):
        with pytest.raises(
            BadInput, match=r"model: Cosine has no torch.nn.Linear that maps its features \(2 numb"
        ):
            prepared(alg=ReadsHead(), model=model)


def test_given_features_are_the_standardised_images_whatever_the_memory_format():
    task = blobs()
    flat = fitted_of(nn.Linear(2, 3), task=task).given_MD
    assert torch.allclose(flat, (task.train.images - 3) / 2)
    x = images()
    narrow, wide = (fitted_of(ResNet((3, 8, 8), 3, [w, 8], [1, 1]), x).given_MD for w in (4, 8))
    assert torch.equal(narrow, wide)
    assert torch.equal(narrow, ((x.float() - 3) * 0.5).flatten(1))


class Targets(Random):
    """Notes the test inputs that it sees, and may write to them."""

    reads_targets = True
    seen: list = []  # noqa: RUF012 (outside of any instance)
    writes = False

    def query(self, fitted, pool, n, rng):
        self.seen.append(fitted.outputs(fitted.networks.online, fitted.targets).probs.shape)
        if self.writes:
            fitted.targets[0] += 1
        return super().query(fitted, pool, n, rng)


def test_test_inputs_are_for_who_declares_to_read_them(monkeypatch):
    monkeypatch.setattr("hetal.guard.state.state_digests", lambda strategy: {})
    setup = prepared(alg=Targets(), name="near")
    assert setup.sees == ["alg=near sees test inputs"]
    run(setup, History())
    assert Targets.seen == [(60, 3)] * 2
    monkeypatch.setattr(Targets, "writes", True)
    with pytest.raises(BadInput, match=r"alg=Targets: query changed fitted\.targets, which it may only read"):
        run(prepared(alg=Targets()), History())
    with pytest.raises(BadInput, match="does not declare reads_targets = True"):
        _ = fitted_of(MLP((2,), 3, [4], 0.0)).targets


class Looks(QueryStrategy):
    """Writes down what it is shown, outside of itself."""

    def __init__(self):
        self.shown = []

    def after_epoch(self, epoch, fitted, pool):
        self.shown.append((epoch, fitted.attempt, fitted.tuned is not None, fitted.networks.online.training))

    query = Random.query

    def state_dict(self):
        return {"shown": [list(one) for one in self.shown]}

    def load_state_dict(self, state):
        self.shown = [tuple(one) for one in state["shown"]]


TUNE = PseudoLabel(confidence=0.4, lr_factor=10.0, min_rows=1, replace_labels=False, augment=None)


def hook(strategy, pool):
    return CheckedStrategy(strategy, "alg=x").after_epoch(pool, 0, 0)


def test_epochs_count_on_over_restarts_and_into_fine_tuning():
    task = blobs()
    pool, looks = labelled_pool(task, 12), Looks()
    learner = make_learner(task, restart_every=2, restart_below=1.1, max_epochs=5, finetune=TUNE)
    fit = learner.fit(pool, stream(0, "fit"), after_epoch=hook(looks, pool))
    assert [epoch for epoch, *_ in looks.shown] == list(range(1, fit.epochs + 1))
    assert [attempt for _, attempt, *_ in looks.shown[:5]] == [1, 1, 2, 2, 3]
    assert [tuned for _, _, tuned, _ in looks.shown] == [False] * 5 + [True] * 5
    assert hook(Random(), pool) is None


def finished(fitting) -> list:
    while fitting.epoch():
        pass
    return [tensor.tolist() for tensor in fitting.result().fitted.tensors().values()]


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_looking_on_changes_no_bit_and_goes_on_exactly_after_any_epoch(dropout):
    task = blobs()
    pool = labelled_pool(task, 12)
    restarts = {"restart_every": 2, "restart_below": 1.1, "max_epochs": 5}
    learner = make_learner(task, network=lambda shape, n: MLP(shape, n, [16], dropout), **restarts)

    def fresh(strategy=None):
        torch.manual_seed(5)
        after_epoch = strategy and hook(strategy, pool)
        return Fitting(learner, pool, stream(0, "fit"), 0, False, after_epoch=after_epoch)

    with torch.random.fork_rng([]):
        whole = finished(fresh())
        looked = Forgetting()
        assert finished(fresh(looked)) == whole
        assert int(looked.changes_M.sum()) > 0 or looked.attempt > 1
        for epochs in range(6):
            fitting, buffer = fresh(Forgetting()), io.BytesIO()
            for _ in range(epochs):
                fitting.epoch()
            torch.save(fitting.state_dict(), buffer)
            other = Forgetting()
            torch.manual_seed(77)
            resumed = fresh(other)
            resumed.load_state_dict(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
            assert finished(resumed) == whole
            assert other.state_dict().keys() == looked.state_dict().keys()
            assert torch.equal(other.predicted_M, looked.predicted_M)
            assert torch.equal(other.changes_M, looked.changes_M)


class WritesWeights(Forgetting):
    def after_epoch(self, epoch, fitted, pool):
        next(fitted.networks.online.parameters()).data.mul_(1.01)


class Remembers(Random):
    def after_epoch(self, epoch, fitted, pool):
        self.last = epoch


class DropsDropout(Forgetting):
    """Changes what is no tensor and no hook of a network."""

    def after_epoch(self, epoch, fitted, pool):
        for module in fitted.networks.online.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        super().after_epoch(epoch, fitted, pool)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (WritesWeights, "after_epoch changed fitted.networks.online's"),
        (Remembers, r"after_epoch changed self.last, which a run that was killed would have lost"),
        (
            DropsDropout,
            "after_epoch changes training: fitted.networks.online's .* is not what it is without it",
        ),
    ],
)
def test_mistakes_after_an_epoch_are_named(kind, said):
    with pytest.raises(AssertionError, match=said):
        check_strategy(kind(), seeds=[0])


def test_counting_forgetting_events_keeps_the_contract():
    check_strategy(Forgetting(), seeds=[0])


def test_a_run_killed_within_a_round_goes_on_with_what_its_strategy_saw(tmp_path, monkeypatch):
    short = ["train.max_epochs=4", "train.checkpoint_minutes=0", "alg=random"]
    line = [*TOY, *short, "alg._target_=tests.forgetting.Dies"]
    with pytest.raises(RuntimeError, match="killed"):
        run_here(*line, root=tmp_path / "cut")
    saved = Checkpoint(only(tmp_path / "cut") / "round.ckpt", 1, 0).load()
    assert saved["after_epoch"]["changes"].sum() > 0
    monkeypatch.setattr(Dies, "dies", False)
    run_here(*line, root=tmp_path / "cut")
    run_here(*line, root=tmp_path / "whole")
    assert records(tmp_path / "cut") == records(tmp_path / "whole")
    for name in ("queries.npz", "strategy-1.pt"):
        cut, whole = (only(tmp_path / root) / name for root in ("cut", "whole"))
        assert cut.read_bytes() == whole.read_bytes()
