"""Every setting, every value: a valid run, or one line that names the setting, and nothing written."""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Callable

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from PIL import Image

from hetal.errors import CONTROL, BadInput
from hetal.evaluate import area_under_curve
from tests.command_line import options, records, run_here
from tests.fuzz import SHORT, Pair, all_pairs, base, no_training, sample, tried  # noqa: F401
from tests.samples import QUARTERS

# Every key about once. Every process that tries some composes all their options first, which takes its time.
N = 260 * QUARTERS
SHARDS = QUARTERS

# What may be null.
NULLABLE = (
    "alg.batch_statistics", "data.n_train", "data.mean", "data.std", "finetune.augment",
    "model.batch_norm_momentum", "model.resize", "model.weights", "tracker.entity",
    "tracker.group", "tracker.job_type", "tracker.run_name", "train.checkpoint_minutes",
    "train.clip", "train.clip_norm",
    "data.name", "data.path", "data.size", "data.train", "data.test",
    "data.config", "data.revision", "data.input", "data.label",
    "alg.name", "alg.beta", "alg.delta", "alg.n_clusters", "alg.max_images",
    "alg.max_candidates", "data.labels", "data.name", "data.standardise", "noise.name", "n_start", "n_query", "n_end",
)  # fmt: skip


@pytest.fixture(scope="session")
def own_data(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("own") / "own.npz"
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (120, 6, 6), dtype=np.uint8), np.arange(120) % 4
    np.savez(path, x_train=x[:100], y_train=y[:100], x_test=x[100:], y_test=y[100:])
    for k in range(120):
        (path.parent / "photos" / f"{y[k]}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(x[k]).save(path.parent / "photos" / f"{y[k]}" / f"{k}.png")
    for name, rows in (("train", slice(100)), ("test", slice(100, 120))):
        (path.parent / "vectors").mkdir(exist_ok=True)
        np.save(path.parent / "vectors" / f"x_{name}.npy", x[rows].reshape(-1, 36))
        np.save(path.parent / "vectors" / f"y_{name}.npy", y[rows])
    return str(path)


@functools.cache
def pairs(own_data: str) -> list[Pair]:
    found = sample(all_pairs(own_data), N, seed=0)
    return random.Random(0).sample(found, N)  # a shard is not of a few keys only


def holds_no_number(value: object) -> bool:
    if isinstance(value, (list, dict)):
        return any(map(holds_no_number, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) and not math.isfinite(value)


def makes_sense(pair: Pair) -> bool:
    """Tell whether a run may accept a pair: by the type of what stood there before."""
    (override,) = OverridesParser.create().parse_overrides([pair.typed])
    default = OmegaConf.select(base(pair.beside), pair.key)
    pair = pair._replace(key=pair.key.replace("alg.of.", "alg."))
    if override.is_delete():
        if pair.key in ("alg.name", "noise.name"):  # it is then made of those of the options
            return True
        # Defaults of torch's own: of an optimizer but for its rate, and of the loss.
        if pair.key == "train.loss.label_smoothing" or pair.key.startswith("optimizer."):
            return pair.key != "optimizer.lr"
        # torchvision's own default for a training set.
        return pair.key in ("data.train.train", "data.train.split") and pair.beside[-1] != "data=emnist"
    if override.key_or_group.replace("alg.of.", "alg.") != pair.key:
        return pair.key.endswith("settings")  # what wandb.Settings takes, W&B says
    value = override.value()
    if pair.key.startswith("noise.parts.") and pair.key.endswith(".name"):  # as the name of a noise
        return value is None or (isinstance(value, (int, str)) and not isinstance(value, bool))
    if value in ("${seed}", {}):  # another number; nothing new to a node
        number = isinstance(default, (int, float)) or pair.key in NULLABLE
        return number if value else OmegaConf.is_dict(default)
    if holds_no_number(value):
        return False
    if pair.key == "mult" and not isinstance(value, dict):  # a number of its own, or the name of an option
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is None or default is None:
        return value is default or pair.key in NULLABLE
    if pair.key in ("name", "root", "noise.name", "alg.name"):
        return isinstance(value, (int, str)) and not isinstance(value, bool)
    if OmegaConf.is_dict(default):
        return pair.key == "tracker.settings" or (isinstance(value, dict) and "_target_" in value)
    if OmegaConf.is_list(default):
        return isinstance(value, list)
    kinds = {float: (int, float), int: (int, float) if "factor" in pair.key else int}
    return isinstance(value, kinds.get(type(default), type(default))) and (
        isinstance(value, bool) == isinstance(default, bool)
    )


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_value_is_a_run_or_one_line(shard, own_data, tmp_path, no_training):  # noqa: F811
    tried_here = pairs(own_data)[shard::SHARDS]
    assert len(tried_here) == N / SHARDS
    kinds = {"valid": 0, "refused": 0}
    for i, pair in enumerate(tried_here):
        root = tmp_path / str(i)
        kind, said = tried(pair, root)
        assert kind in kinds, f"{pair.beside} {pair.typed!r}: {said}"
        kinds[kind] += 1
        assert not root.exists(), pair
        if kind == "valid":
            assert makes_sense(pair), pair
            continue
        assert not CONTROL.search(said), (pair, said)
        name = pair.key.split("._")[0]
        words = {name, name.rpartition(".")[2], name.partition(".")[0]} | (
            {"mult"} if "factor" in name else {"n_start"} if name == "data.n_train" else set()
        )
        assert any(word in said.partition(";")[0] for word in words), (pair, said)
    assert min(kinds.values()) > 0


def refusal(run: Callable[[], object]) -> str | None:
    try:
        run()
    except BadInput as error:
        return str(error)
    return None


CONVOLUTIONAL = [f"model={name}" for name in options("model") if name != "linear" and "mlp" not in name]
KEYS = ("train.", "model.", "alg.", "noise.", "finetune.", "mult", "n_", "seed")
NUMBERS = ("0", "-1", "1", "2.5", "3e38", "1e-40", "-0.0", "9223372036854775807", "null")


@pytest.mark.parametrize("shard", range(SHARDS))
def test_what_is_accepted_really_runs(shard, own_data, tmp_path):
    wanted = [
        pair
        for pair in all_pairs(own_data)
        if pair.key.startswith(KEYS)
        and "._" not in pair.key
        and pair.typed in [f"{pair.key}={number}" for number in NUMBERS]
        and pair.beside[-1] not in CONVOLUTIONAL
        and pair.typed not in ("train.max_epochs=9223372036854775807", "mult=9223372036854775807")
    ]
    drawn = filter(makes_sense, sample(wanted, len(wanted), seed=1))
    ended = 0
    for i, pair in enumerate([*itertools.islice(drawn, 10 * QUARTERS)][shard::SHARDS]):
        beside = [word for word in pair.beside if not word.startswith("data=")]
        # Fast, and fine-tuning from the first round on.
        fast = [
            "data.n_train=100",
            "tracker=none",
            *(["finetune.min_rows=1"] * any("finetune=p" in w for w in beside)),
        ]
        fast = [
            word
            for word in fast
            if word.partition("=")[0] != pair.key and pair.key.split(".")[0] != "tracker"
        ]
        root = tmp_path / str(i)
        if (said := refusal(lambda: run_here(*beside, *fast, pair.typed, root=root))) is not None:  # noqa: B023
            assert not CONTROL.search(said)
            continue
        (rounds,) = records(root).values()
        assert 0 <= area_under_curve([r["n_labelled"] for r in rounds], [r["accuracy"] for r in rounds]) <= 1
        ended += 1
    assert ended > 0
