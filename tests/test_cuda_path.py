"""The CUDA path, on a device that a CPU pretends: no mixed devices, few waits, nothing that does not repeat."""

import contextlib
import copy
import io
import random
import unittest.mock as mock

import numpy as np
import pytest
import torch

from hetal.acquisition import covering, seeding
from hetal.acquisition.covering import k_center
from hetal.acquisition.seeding import kmeans_plusplus
from hetal.algs.wrapper import is_bound
from hetal.augment import Published, Strong, Weak
from hetal.errors import BadInput
from hetal.guard.query import acquire
from hetal.machine.device import pick_device
from hetal.models import MLP, VGG, ResNet, ensemble_of
from hetal.pool import Pool
from hetal.record.checkpoint import packed, unpacked, weights_of
from hetal.rng import seeded, stream
from hetal.task import Examples, Task
from hetal.train import recipe
from hetal.train.ema import EMA
from hetal.train.finetune import PseudoLabel
from hetal.train.fit import Fitting
from hetal.train.fitted import Fitted, Pair
from hetal.train.forward import Standardise
from hetal.train.stopping import Threshold
from hetal.train.warm_start import LastWeights
from tests.command_line import options, records, run_here
from tests.cuda_runs import TINY
from tests.pretend_cuda import Mixed, OnCuda, pretend
from tests.test_algs import strategy
from tests.toy import blobs, labelled_pool, make_learner

# What these draw comes from the device, so that their picks are not the CPU's.
DRAW_ON_DEVICE = ("bald", "batchbald", "epig")


@contextlib.contextmanager
def clean():
    """Pretend, and check in the end that nothing was mixed, overtaken or unrepeatable."""
    with pretend() as device:
        pick_device("cuda", 1)
        yield device
    assert not device.notes.mixed
    assert not device.notes.races
    assert not device.notes.unrepeatable


def outside():
    """Return the states of all process-wide generators."""
    kind, keys, *position = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().tolist(), random.getstate(), (kind, keys.tolist(), *position)


# Queries


@pytest.fixture(scope="module")
def networks():
    """A trained network with dropout and its average."""
    task = blobs(40)
    learner = make_learner(task, network=lambda shape, n: MLP(shape, n, [8], 0.3), max_epochs=3)
    return learner.fit(labelled_pool(task, 12), stream(0, "fit")).fitted.networks


def bought(name, networks, device):
    """Return the four rows that a strategy buys of a small pool on `device`."""
    device = torch.device(device)
    task = blobs(40)
    images = task.train.images.to(device)
    pool = Pool(images, torch.arange(40).repeat_interleave(2))
    labels = task.train.labels.repeat_interleave(2)
    pool.reveal(torch.arange(10), labels[:10])
    pair = Pair(*(copy.deepcopy(network).to(device) for network in (networks.online, networks.ema)))
    fitted = Fitted(
        pair,
        images,
        Standardise((3.0,), (2.0,), (2,), False, device),
        16,
        pair,
        targets=images[:6],
        n_classes=3,
    )
    alg = strategy(name)
    if is_bound(alg):
        alg.see(labels, labels > 3)
    return acquire(alg, fitted, pool, 4, stream(0, "query"), stream(0, "globals"), f"alg={name}")


@pytest.mark.parametrize("name", options("alg"))
def test_every_strategy_buys_what_it_buys_on_the_cpu(name, networks):
    before = outside()
    with clean() as device:
        rng = device.rng
        ids = bought(name, networks, "cuda")
        assert torch.equal(device.rng, rng)
    assert outside() == before
    assert not isinstance(ids, OnCuda)
    if name not in DRAW_ON_DEVICE:
        assert torch.equal(ids, bought(name, networks, "cpu"))


def points(n, device):
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(0)).to(device)


@pytest.mark.parametrize(
    ("module", "select"),
    [
        (seeding, lambda x: kmeans_plusplus(x, 20, stream(0, "query"), batch=4)),
        (covering, lambda x: k_center(x, 20, centers=x[:2], batch=4)),
    ],
)
def test_selection_waits_twice_a_batch(module, select):
    with clean() as device:
        x = points(100, "cuda")
        with (
            mock.patch.object(module, "_walk", wraps=module._walk) as batches,
            mock.patch.object(module, "upper_bounds", wraps=module.upper_bounds) as passes,
            device.notes.only() as part,
        ):
            picks = select(x)
        assert batches.call_count > 5
        assert part.syncs.total() <= 2 * batches.call_count + 2 * passes.call_count + 6
        assert torch.equal(picks.cpu(), select(points(100, "cpu")))


def test_dropout_passes_are_waited_for_once(networks):
    with clean() as device:
        images = blobs(40).train.images.to("cuda")
        fitted = Fitted(
            Pair(*(copy.deepcopy(n).to("cuda") for n in (networks.online, networks.ema))),
            images,
            Standardise((3.0,), (2.0,), (2,), False, torch.device("cuda")),
            8,
        )
        with device.notes.only() as part:
            passes = torch.cat([*fitted.passes(6, images, stream(0, "query"))], 1)
    assert passes.shape == (6, 40, 3)
    assert part.syncs.total() <= 1


# Training


def small_images(n=24, size=16):
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, 3, size, size), generator=rng, dtype=torch.uint8)
    examples = Examples(images, torch.arange(n) % 3)
    return Task(examples, examples, 3, mean=(120.0,), std=(60.0,))


AUGMENTATIONS = {
    "none": None,
    "weak": Weak(padding=0.125, flip=0.5),
    "strong": Strong(n_ops=4, padding=0.125, flip=0.5, cutout=0.5),
    "published": Published(n_ops=4, flip=0.5, cutout=0.5),
}

NETWORKS = {
    "MLP": lambda shape, n: MLP(shape, n, [8], 0.0),
    "MLP with dropout": lambda shape, n: MLP(shape, n, [8], 0.3),
    "thin ResNet": lambda shape, n: ResNet(shape, n, [4, 8], [1, 1]),
    "VGG": lambda shape, n: VGG(shape, n, [4, 8], [1, 1]),
}


def on_cuda(task, **changes):
    """Return a learner for `task` on the pretended device, and a pool there with half its rows labelled."""
    task = Task(
        task.train, Examples(task.test.images.to("cuda"), task.test.labels), 3, mean=task.mean, std=task.std
    )
    pool = Pool(task.train.images.to("cuda"), torch.arange(len(task.train)))
    half = torch.arange(len(task.train) // 2)
    pool.reveal(half, task.train.labels[half])
    return make_learner(task, device=torch.device("cuda"), **changes), pool


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_an_epoch_waits_twice_whatever_its_steps(name, graph):
    task = small_images(48)
    plain = make_learner(task, network=NETWORKS[name], batch_size=6, max_epochs=2)
    with clean() as device:
        learner, pool = on_cuda(task, network=NETWORKS[name], batch_size=6, graph=graph, max_epochs=2)
        with begun(learner, pool) as training:
            for _ in range(2):
                with device.notes.only() as part:
                    training.epoch()
                assert part.syncs.total() <= 2
                # The first step of a shape is taken by Python.
                assert part.launches["graph"] >= 3 * graph
        losses = training._training.losses
    if "dropout" not in name:
        with begun(plain, labelled_pool(task, 24)) as training:
            training.epoch()
            training.epoch()
        assert losses == pytest.approx(training._training.losses, rel=1e-4)


@contextlib.contextmanager
def begun(learner, pool, **given):
    """Begin a round's training, with the process-wide generators as in one."""
    rng = stream(0, "fit")
    with seeded(rng, learner.device):
        yield Fitting(learner, pool, rng, 0, False, **given)


@pytest.mark.parametrize("augment", ["weak", "strong", "published"])
def test_augmented_epochs_wait_once(augment):
    task = small_images(48)
    with clean() as device:
        learner, pool = on_cuda(
            task, network=NETWORKS["thin ResNet"], augment=AUGMENTATIONS[augment], batch_size=4
        )
        with begun(learner, pool) as training, device.notes.only() as part:
            training.epoch()
        assert part.syncs.total() <= 1
        assert device.notes.copied.total() > 0


@pytest.mark.parametrize("augment", ["none", "strong", "published"])
def test_fine_tuning_waits_as_training_does(augment):
    task = small_images(24)
    tune = PseudoLabel(0.0, 10.0, 1, False, AUGMENTATIONS[augment])
    with clean() as device:
        learner, pool = on_cuda(task, network=NETWORKS["VGG"], finetune=tune, max_epochs=1)
        with begun(learner, pool) as training:
            training.epoch()
            with device.notes.only() as part:
                training.epoch()
            assert not training.epoch()
        assert part.syncs.total() <= 2
        assert len(training.result().pseudo.ids) == 12


def test_the_average_is_measured_in_one_wait():
    with clean() as device:
        learner, pool = on_cuda(small_images(24), network=NETWORKS["MLP"], stop=Threshold(0.0, 2.0))
        with begun(learner, pool) as training, device.notes.only() as part:
            training.epoch()
        assert part.syncs.total() <= 2
        learner, pool = on_cuda(small_images(24), network=NETWORKS["thin ResNet"], ema_on_batches=True)
        with begun(learner, pool) as training, device.notes.only() as part:
            training.epoch()
        assert part.syncs.total() <= 2


@pytest.mark.parametrize("name", ["MLP", "thin ResNet"])
def test_members_of_an_ensemble_train_together(name):
    network = ensemble_of(NETWORKS[name], 2)
    with clean() as device:
        learner, pool = on_cuda(small_images(24), network=network, clip=None, clip_norm=1.0, max_epochs=1)
        with begun(learner, pool) as training:
            with device.notes.only() as part:
                training.epoch()
            training.epoch()
        members = training.result().fitted.members_KMC
        assert members.shape == (2, 24, 3)
    assert part.syncs.total() <= 2


def test_a_round_begins_with_as_many_transfers_for_large_networks_as_for_small_ones():
    waits = []
    for name in ("MLP", "thin ResNet"):
        with clean() as device:
            learner, pool = on_cuda(small_images(24), network=NETWORKS[name])
            with device.notes.only() as part, begun(learner, pool) as training:
                pass
            with device.notes.only() as saving:
                packed(training.state_dict())
            waits.append((part.syncs.total(), saving.syncs.total()))
    assert waits[0] == waits[1]
    assert waits[0][1] <= 2


@pytest.mark.parametrize("graph", [False, True])
def test_resumes_exactly_inside_a_round_with_dropout(graph):
    settings = {
        "network": NETWORKS["MLP with dropout"],
        "augment": AUGMENTATIONS["weak"],
        "graph": graph,
        "max_epochs": 4,
    }
    with clean() as device:
        learner, pool = on_cuda(small_images(24), **settings)
        with begun(learner, pool) as whole:
            while whole.epoch():
                pass
        device.rng = torch.Generator().manual_seed(9).get_state()  # another process
        with begun(learner, pool) as first:
            first.epoch()
            first.epoch()
            state = packed(first.state_dict())
        with begun(learner, pool) as second:
            torch.randn(3, device="cuda")
            second.load_state_dict(unpacked(state))
            while second.epoch():
                pass
        ends = [weights_of(training.result().fitted.networks.online) for training in (whole, second)]
    if graph:  # the steps that Python takes, one for each shape, are others
        for key, value in ends[0].items():
            torch.testing.assert_close(ends[1][key], value, rtol=1e-4, atol=1e-6)
    else:
        assert all(torch.equal(ends[1][key], value) for key, value in ends[0].items())


@pytest.mark.parametrize("name", ["thin ResNet", "MLP with dropout"])
def test_half_precision_waits_no_more(name):
    with clean() as device:
        learner, pool = on_cuda(small_images(12, 8), network=NETWORKS[name], precision="bf16", max_epochs=1)
        with begun(learner, pool) as training, device.notes.only() as part:
            training.epoch()
        assert part.syncs.total() <= 1
        assert training.result().fitted.probs_MC.dtype == torch.float32


def test_published_dynamics_train_on_the_device():
    published = {
        "own_ema": True,
        "ema_on_batches": True,
        "falls_over_restarts": True,
        "finetune_at_snapshot": True,
        "falling_epochs": 1,
        "finetune": PseudoLabel(0.0, 10.0, 1, True, AUGMENTATIONS["published"]),
    }
    with clean() as device:
        settings = {"network": NETWORKS["MLP with dropout"], "max_epochs": 3}
        learner, pool = on_cuda(small_images(24), **settings, **published)
        rng = device.rng
        fit = learner.fit(pool, stream(0, "fit"), snapshot=True)
        assert torch.equal(device.rng, rng)
        assert len(fit.pseudo.ids) == 12
        assert fit.fitted.snapshot.online is not fit.fitted.networks.online
        learner, pool = on_cuda(small_images(24), **settings, restart_every=1, restart_below=1.1)
        assert learner.fit(pool, stream(0, "fit")).restarts == 2


def test_weights_that_are_kept_load_without_a_gpu():
    with clean() as device:
        learner, pool = on_cuda(small_images(24), warm_start=LastWeights(), max_epochs=1)
        fit = learner.fit(pool, stream(0, "fit"))
        weights = learner.hand_on(fit)
        assert not any(isinstance(value, OnCuda) for value in weights.values())
        data = io.BytesIO()
        torch.save(weights, data)
        assert not device.notes.saved
        again = learner.fit(pool, stream(0, "fit", 1), previous=weights)
        assert again.epochs == 1
    data.seek(0)
    assert set(torch.load(data, weights_only=True)) == set(weights)


# Whole runs


@pytest.mark.parametrize("alg", ["badge", "coreset"])
def test_a_run_leaves_the_record_that_it_leaves_on_the_cpu(alg, tmp_path):
    overrides = [*TINY, f"alg={alg}", "keep_network=true", "train.checkpoint_minutes=0"]
    run_here("device=cpu", *overrides, root=tmp_path / "cpu")
    before = outside()
    with clean() as device:
        rng = device.rng
        run_here("device=cuda", *overrides, root=tmp_path / "cuda")
        assert torch.equal(device.rng, rng)
        assert not device.notes.saved
    assert outside() == before
    assert records(tmp_path / "cuda") == records(tmp_path / "cpu")
    (kept,) = (tmp_path / "cuda").rglob("network.pt")
    assert torch.load(kept, weights_only=True)


# The checks themselves


def test_a_tensor_that_was_left_on_the_cpu_is_found():
    class Left(Pool):
        def labels(self, ids):
            return super().labels(ids).cpu()

    def trained():
        with clean():
            learner, pool = on_cuda(small_images(24))
            pool.__class__ = Left
            learner.fit(pool, stream(0, "fit"))

    with pytest.raises(Mixed):
        trained()


def test_a_number_that_is_read_in_every_step_is_found(monkeypatch):
    average = EMA.average
    monkeypatch.setattr(EMA, "average", lambda self: (average(self), self._averaged[0].sum().item()))
    with pytest.raises(AssertionError):
        test_an_epoch_waits_twice_whatever_its_steps("MLP", False)
    with pytest.raises(BadInput, match="cannot be recorded as a CUDA graph"):
        test_an_epoch_waits_twice_whatever_its_steps("MLP", True)


def test_a_sum_of_floats_in_an_order_of_its_own_is_found(monkeypatch, networks):
    bounds = seeding.upper_bounds
    monkeypatch.setattr(seeding, "upper_bounds", lambda *given: (b := bounds(*given), b.cumsum(0))[0])
    with pytest.raises(AssertionError):
        test_every_strategy_buys_what_it_buys_on_the_cpu("badge", networks)


def test_a_copy_of_its_own_for_every_parameter_is_found(monkeypatch):
    monkeypatch.setattr(recipe, "move", lambda network, device: network.to(device))
    with pytest.raises(AssertionError):
        test_a_round_begins_with_as_many_transfers_for_large_networks_as_for_small_ones()
