"""Hostile values for every key of every config, and what hetal answers: a run, or one line.

A key is tried on top of the option that brings it. Configs are composed as Hydra composes them, once for each set of
options; values are then put in by Hydra's own parser, which takes milliseconds where a new composition takes 60.
"""

from __future__ import annotations

import copy
import functools
import pickle
import random
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict

from hetal.app.launch import launch
from hetal.app.messages import answer
from hetal.errors import BadInput
from hetal.sweep.overrides import as_options, nested_groups
from tests import mock_timm
from tests.command_line import CONF, options
from tests.samples import some

GROUPS = ("alg", "data", "noise", "mult", "oracle", "model", "train", "finetune", "start", "tracker")

# What a group's options need of the others to be a valid run.
BESIDE = {
    "alg": ["model=mlp_dropout"],
    "model": ["data=svhn"],
    "noise": ["data=digits"],
    "finetune/augment": ["finetune=pseudo_label"],
}

# The deepest networks at a size that is built in no time.
THIN = {
    "model=wide_resnet": ["model.depth=10", "model.width=1"],
    "model=wide_resnet_16_4": ["model.depth=10", "model.width=1"],
    "model=torchvision": ["model.name=shufflenet_v2_x0_5"],
}

SHORT = ["device=cpu", "n_start=40", "n_query=20", "n_end=80", "train.max_epochs=2"]

VALUES = (
    "null", "{}", "[]", "[1,2]", "3e38", "1e-40",
    "''", "x", "true", "0", "-1", "1", "2.5", "1e308", "nan", "inf", "-inf", "-0.0",
    "[nan]", "[inf,1]", "99999999999999999999", "-99999999999999999999", "1" + "0" * 400, "9223372036854775807",
    "'[bold]x[/bold] [/old]'", "'it''s'", "\"a\nb\"", "'é漢\U0001f996'", "'\x1b[31m'", "{a:1}", "[[1]]", "[null]",
    "{_target_:builtins.dict}", "{_target_:no.such.thing}", "{1:2}", "'${nope}'", "'${seed}'", "'" + "y" * 300 + "'",
)  # fmt: skip

# With KEY for the key.
FORMS = (
    "~KEY", "+KEY=5", "++KEY=x", "++KEY=null", "KEYz=5", "+KEYz=5", "KEY.x=1", "+KEY.x=1", "++KEY.x=1", "KEY={",
    "KEY=a b=c", "KEY=[", "KEY=range(", "KEY=${", "KEY",
)  # fmt: skip

# Those that are composed anew; tried of whole settings only.
COMPOSED = ("KEY=1,2", "KEY@x=1", "KEY=glob(*)", "KEY=[random,badge]")


class Pair(NamedTuple):
    """A key, what is typed of it, and the options beside it."""

    beside: tuple[str, ...]
    key: str
    typed: str


class Answer(NamedTuple):
    """What came of a pair: "valid", "refused" or "broken", and what was said."""

    kind: str
    said: str


@functools.cache
def base(beside: tuple[str, ...]) -> DictConfig:
    """Compose the options, as for a single run."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", [*beside], return_hydra_config=True)


def keys(node: DictConfig, above: str = "") -> Iterator[str]:
    """Yield the dotted name of everything in a config."""
    for key in node:
        path = f"{above}.{key}" if above else str(key)
        yield path
        if OmegaConf.is_dict(child := node._get_node(key)) and not child._is_none():
            yield from keys(child, path)


@functools.cache
def all_pairs(npz: str) -> list[Pair]:
    """Return every value for every key of the options of every group, of `some` of them."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for group in GROUPS:
        for option in some(options(group)):
            chosen = f"{group}={option}"
            beside = [*BESIDE.get(group, []), *SHORT, *THIN.get(chosen, []), chosen]
            if option == "npz":
                beside.append(f"data.path={npz}")
            if option == "folder":
                beside.append(f"data.path={Path(npz).with_name('photos')}")
            if option in ("npy", "features"):
                beside.append(f"data.path={Path(npz).with_name('vectors')}")
            cfg = base(tuple(beside))
            for key in keys(cfg[group] if cfg[group] is not None else OmegaConf.create(), group):
                found.setdefault((f"{group}={option}", key), tuple(beside))
    for group in nested_groups():
        for option in some(options(group)):
            path, beside = group.replace("/", "."), [*SHORT, *BESIDE.get(group, []), f"{group}={option}"]
            node = OmegaConf.select(base(tuple(beside)), path)
            for key in keys(OmegaConf.create() if node is None else node, path):
                found.setdefault((beside[-1], key), tuple(beside))
    for key in keys(base(tuple(SHORT))):
        if key.split(".")[0] not in (*GROUPS, "hydra"):
            found["", key] = tuple(SHORT)
    for group in GROUPS:
        found["", group] = tuple(SHORT)
    return [
        Pair(beside, key, typed)
        for (_, key), beside in found.items()
        for typed in [
            *(f"{key}={value}" for value in VALUES),
            *(form.replace("KEY", key) for form in (FORMS if "." in key else FORMS + COMPOSED)),
        ]
    ]


def sample(pairs: list[Pair], n: int, seed: int) -> list[Pair]:
    """Draw `n` pairs, every key about equally often."""
    rng = random.Random(seed)
    by_key: dict[tuple[str, ...], list[Pair]] = {}
    for pair in pairs:
        by_key.setdefault((pair.key, *pair.beside), []).append(pair)
    piles = [rng.sample(pile, len(pile)) for pile in by_key.values()]
    drawn = [pile[i] for i in range(max(map(len, piles))) for pile in piles if i < len(pile)]
    return drawn[:n]


class Reached(Exception):
    """All checks are passed; training would begin."""


def tried(pair: Pair, root: Path) -> Answer:
    """Launch a pair, and say what came of it."""
    overrides = [*pair.beside, pair.typed]
    if not pair.key.startswith("root"):
        overrides.insert(0, f"root={root}")
    overrides = as_options(overrides)
    try:
        launch(put_in(overrides))
    except Reached:
        return Answer("valid", "")
    except BadInput as error:
        return Answer("refused", str(error))
    except BaseException as error:
        if (said := answer(error, overrides, CONF)) is not None:
            return Answer("refused", said)
        return Answer("broken", "".join(traceback.format_exception(error)))
    return Answer("valid", "")


def put_in(overrides: list[str]) -> DictConfig:
    """Compose overrides, those of groups and what Hydra cannot parse by Hydra itself."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    known = (*GROUPS, *nested_groups())
    groups = [o.input_line for o in parsed if o.key_or_group in known or o.package or o.is_sweep_override()]
    given, HydraConfig.instance().cfg = apart(tuple(groups))
    cfg: DictConfig = pickle.loads(given)
    values = [o for o in parsed if o.input_line not in groups]
    ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
    return cfg


@functools.cache
def apart(beside: tuple[str, ...]) -> tuple[bytes, DictConfig | None]:
    """Return of `base` what a run is given, pickled (which is copied five times faster), and Hydra's own part."""
    cfg = copy.deepcopy(base(beside))
    hydra = HydraConfig()
    hydra.set_config(cfg)
    with open_dict(cfg):
        del cfg["hydra"]
    return pickle.dumps(cfg), hydra.cfg


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything happen but training, on data sets that need no download."""
    import sklearn.datasets

    import hetal.app.messages
    import hetal.data.digits
    import hetal.data.vision
    import hetal.experiment

    prepare, really_open = hetal.experiment.Experiment.prepare, hetal.data.vision.Store.open

    def checked(experiment: hetal.experiment.Experiment, device: object) -> None:
        prepare(experiment, device)
        raise Reached

    settings = hetal.app.messages._settings
    known: dict[tuple[str, ...], list[str]] = {}

    def composed_once(arguments: Sequence[str], conf: Path) -> list[str]:
        beside = tuple(word for word in arguments if word.partition("=")[0] in GROUPS)
        if beside not in known:
            known[beside] = settings(beside, conf)
        return known[beside]

    def opened(self: object, dataset: functools.partial, download: bool) -> SimpleNamespace:
        name = dataset.func.__name__
        try:
            dataset(root="/nonexistent", download=False)
        except RuntimeError:  # no files
            shape = {"CIFAR10": (32, 32, 3), "CIFAR100": (32, 32, 3), "SVHN": (3, 32, 32)}.get(name, (28, 28))
            how = dataset.keywords
            is_train = how.get("train", True) and how.get("split") != "test"
            images = np.random.default_rng(int(is_train)).integers(0, 256, (100, *shape), dtype=np.uint8)
            return SimpleNamespace(data=images, targets=np.arange(100) % 10)
        except Exception:
            return really_open(self, dataset, download=False)
        raise AssertionError(f"{name} is there")

    monkeypatch.setattr(hetal.experiment.Experiment, "prepare", checked)
    monkeypatch.setattr("hetal.app.messages._settings", composed_once)
    monkeypatch.setattr("hetal.data.vision.Store.open", opened)
    monkeypatch.setitem(sys.modules, "timm", mock_timm)
    monkeypatch.setattr(sklearn.datasets, "load_digits", functools.cache(sklearn.datasets.load_digits))
