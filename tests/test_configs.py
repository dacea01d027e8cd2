"""Every YAML of every group composes, instantiates and runs two queries on a toy budget."""

import sys

import numpy as np
import pytest

from hetal.errors import BadInput
from tests import mock_timm
from tests.command_line import TOY, composed, only, options, records, run_here

AUGMENTS = options("train/augment")


def toy(root, *overrides):
    run_here(*TOY, *overrides, root=root)
    (rounds,) = records(root).values()
    assert [r["n_labelled"] for r in rounds] == [40, 60, 80]
    assert [r["n_bought"] for r in rounds] == [20, 20, 0]
    return rounds


@pytest.mark.parametrize("alg", options("alg"))
def test_alg(alg, tmp_path):
    toy(tmp_path, f"alg={alg}", "model=mlp_dropout", "model.widths=[32]")


@pytest.mark.parametrize("noise", options("noise"))
def test_noise(noise, tmp_path):
    data = ["noise.rho=4"] if noise == "long_tail" else []
    if noise in ("human", "votes"):
        rng = np.random.default_rng(0)
        x, y, votes = rng.normal(size=(250, 3)), np.arange(250) % 4, rng.integers(1, 5, (250, 4))
        arrays = {"x_train": x, "y_train": y, "x_test": x[:20], "y_test": y[:20]}
        np.savez(tmp_path / "data.npz", **arrays, human_worst=rng.permutation(y), votes_train=votes)
        data = ["data=npz", f"data.path={tmp_path / 'data.npz'}"]
    toy(tmp_path, f"noise={noise}", "mult=1", *data)


@pytest.mark.parametrize("model", options("model"))
def test_model(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", mock_timm)
    rng = np.random.default_rng(0)
    channels = 1 if model in ("timm", "torchvision") else 2
    x, y = rng.integers(0, 256, (250, channels, 16, 16), dtype=np.uint8), np.arange(250) % 4
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x[:20], y_test=y[:20])
    # The deepest networks at a width that two cores can train.
    thin = {
        "vgg": ["model.widths=[8,8,8,8,8]"],
        "resnet18": ["model.widths=[8,8,8,8]"],
        "wide_resnet": ["model.depth=10", "model.width=1"],
        "wide_resnet_16_4": ["model.depth=10", "model.width=1"],
        "torchvision": ["model.name=shufflenet_v2_x0_5"],
    }.get(model, [])
    toy(tmp_path, f"model={model}", *thin, "data=npz", f"data.path={tmp_path / 'data.npz'}", "noise=blank")


@pytest.mark.parametrize("train", options("train"))
def test_train(train, tmp_path):
    toy(tmp_path, f"train={train}")


@pytest.mark.parametrize("warm_start", options("train/warm_start"))
def test_warm_start(warm_start, tmp_path):
    toy(tmp_path, f"train/warm_start={warm_start}")
    assert bool([*only(tmp_path).glob("weights-*.pt")]) == (warm_start != "none")


@pytest.mark.parametrize("finetune", options("finetune"))
@pytest.mark.parametrize("alg", ["badge", "lhd", "lhd_published"])
def test_finetune(finetune, alg, tmp_path):
    rows = [f"finetune={finetune}", f"alg={alg}"]
    if finetune != "none":
        rows += ["finetune.min_rows=1", "finetune.confidence=0"]
    rounds = toy(tmp_path, *rows)
    assert all((r["n_pseudo"] is not None) == (finetune != "none") for r in rounds)


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    return toy(tmp_path_factory.mktemp("default"))


@pytest.mark.parametrize(
    "option",
    [*(f"augment={name}" for name in AUGMENTS), *(f"loss={name}" for name in ("gce", "sce", "small_loss"))],
)
def test_augmentation_and_losses(option, default, tmp_path):
    assert (toy(tmp_path, f"train.{option}") == default) == (option == "augment=none")


@pytest.mark.parametrize(
    ("typed", "target"),
    [
        ("finetune=pseudo_label", "Strong"),
        ("finetune=published", "Published"),
        ("finetune=published finetune.augment=strong", "Strong"),
        ("finetune=pseudo_label finetune.augment=weak", "Weak"),
        ("finetune=published finetune.augment=null", None),
        ("+experiment=paper", "Published"),
        ("+experiment=paper finetune.augment=weak", "Weak"),
    ],
)
def test_what_augments_fine_tuning(typed, target, tmp_path):
    chosen = composed(*typed.split(), root=tmp_path)
    assert chosen.train.augment is None
    augment = chosen.finetune.augment
    if target is None:
        assert augment is None
    else:
        # All as the same option of train.augment has it.
        in_training = composed(f"train.augment={target.lower()}", root=tmp_path).train.augment
        assert augment == in_training
        assert augment._target_ == f"hetal.augment.{target}"


@pytest.mark.parametrize("start", options("start"))
def test_start(start, tmp_path):
    toy(tmp_path, f"start={start}", "alg=random")


@pytest.mark.parametrize("tracker", options("tracker"))
def test_tracker(tracker, tmp_path):
    toy(tmp_path, f"tracker={tracker}")
    assert (only(tmp_path) / "wandb").exists() == (tracker == "wandb")


@pytest.mark.parametrize("factor", ["mult=0", "mult=2", "mult=0.5", "mult.factor=2.5"])
def test_mult(factor, tmp_path):
    toy(tmp_path, factor)


def test_clean_is_one_run_whatever_mult_is(tmp_path):
    for factor in ("mult=0", "mult=4", "mult.factor=2.5"):
        run_here(*TOY, "noise=clean", factor, root=tmp_path)
    assert len(records(tmp_path)) == 1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["mult=-1"], "mult=-1: must be"),
        (["mult.factor=much"], "mult=much: must be a number"),
        (["mult.factor=null"], "mult=null: must be a number"),
        (["~mult"], "mult=null: must be one of the choices of mult, or a number"),
        (["mult=[x1,x2]"], "mult: must be one of its choices, mult=NAME"),
        (["noise=clean", "~mult.factor"], "mult.factor is not set; it must be a number"),
        (["n_query=0"], "n_query=0"),
        (["n_start=1.5"], "n_start=1.5"),
        (["n_end=100000"], r"n_end=100000: must be in 40\.\.1000"),
        (["n_end=10"], "n_end=10"),
        (["seed=one"], "seed=one"),
        (["threads=0"], "threads=0"),
        (["threads=100000"], r"threads=100000: must be in 1\.\.\d+ on this machine"),
        (["jobs_per_gpu=0"], r"jobs_per_gpu=0: must be in 1\.\.1000"),
        (
            ["seed=99999999999999999999"],
            "seed=99999999999999999999: must be a whole number of at most 64 bits",
        ),
        (["seed=null"], r"seed=null: must be a whole number in -9223372036854775808\.\.9223372036854775807"),
        (["name=null"], "name=null: must be text"),
        (["root=null"], "root=null: must be text"),
        (["root=''"], "root=: must be a folder"),
        (["root='a\nb'"], r"root=a\\nb: must be a folder, without control characters"),
        (["+n_quary=5"], r"n_quary: no such setting; did you mean n_query\?"),
        (["+mult.x=5"], r"mult\.x: no such setting"),
        (["~profile"], "profile is not set; it must be true or false"),
        (["train=fast", "train.stop.min_gain=nan"], "train.stop.min_gain=nan: must be a finite number"),
        (["optimizer.lr={}"], "optimizer.lr={}: must be a number"),
        (["train.clip=1e308"], r"train.clip=1e\+308: must be a finite number, within \+-3.4e\+38"),
        (["~optimizer.lr"], "optimizer.lr is not set; it must be a number"),
        (["+train.device=cpu"], "train.device: no such setting"),
        (["train._partial_=false"], "train._partial_=false: must be true here"),
        (["+alg._partial_=true"], "alg._partial_=true: must be false here"),
        (["alg._target_=hetal.noise.blank_noise"], "alg.factor is not set|alg.train is not set"),
        (
            ["alg._target_=hetal.watch.NullTracker"],
            "alg._target_=hetal.watch.NullTracker: must be a QueryStr",
        ),
        (["noise._target_=hetal.noise.no_noise"], "noise.factor: no such setting"),
        (["tracker._target_=5"], "tracker._target_=5: must be text"),
        (["noise=diverse", "noise.labels_per_color=11"], r"1\.\.10, as the data have 10 classes"),
        (["force=no"], "force=no"),
        (["train.own_ema=no"], "train.own_ema=no"),
        (["+finetune.replace_labels=true"], "no finetune is chosen"),
        (["device=tpu"], "device=tpu: must be auto"),
        (["device=cuda"], "device=cuda: this machine has none"),
        (["name=../elsewhere"], "name=../elsewhere"),
        (["name=a/b"], "name=a/b"),
        (["alg=bald"], "alg=bald needs a model with dropout"),
        (["alg=bald", "model=mlp_dropout", "alg.n_passes=1"], "alg.n_passes=1"),
        (["model=vgg"], "model=vgg takes images"),
        (["model=resnet", "data=four_moons"], "model=resnet takes images"),
        (["optimizer.lr=fast"], "optimizer.lr=fast: must be a number"),
        (["optimizer.lr=-1"], "optimizer.lr=-1"),
        (["train.batch_size=0"], "train.batch_size=0"),
        (["model.widths=[]"], "model.widths"),
        (["+model.depth=3"], "depth"),
        (["tracker=wandb", "tracker.mode=sometimes"], "tracker.mode=sometimes"),
        (["tracker=wandb", "tracker.project=a/b"], "tracker.project=a/b: must be"),
        (["noise.noisy_class=10"], "noisy_class=10"),
        (["data.n_train=3"], "data.n_train=3"),
        (["finetune=pseudo_label", "data=four_moons"], "finetune.augment=null"),
        (["train.augment=weak", "data=four_moons"], r"train\.augment: .*; set train\.augment=null"),
        (
            ["train.augment=weak", "train.augment.padding=0.7"],
            r"train\.augment\.padding=0\.7: must be in 0\.\.0\.5",
        ),
        (["finetune=published", "finetune.augment.n_ops=-1"], r"finetune\.augment\.n_ops=-1: must be"),
        (
            ["train.augment=weak", "train.augment._target_=hetal.train.GCE"],
            r"train\.augment\._target_=hetal\.train\.GCE: must be a Augm",
        ),
        (["train.loss=gce", "train.loss.q=0"], r"train\.loss\.q=0: must be in 0\.001\.\.1"),
        (["alg._target_=hetal.algs.lost.Lost"], "hetal.algs.lost.Lost"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_named_and_leaves_nothing_behind(overrides, message, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(BadInput, match=message) as caught:
        run_here(*TOY, *overrides, root=tmp_path / "root")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "root").exists()
