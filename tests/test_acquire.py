"""A mistake in a strategy ends in one line that names it, with nothing written, and the mended strategy continues."""

import functools
import itertools
import json
import logging
import random
import types

import numpy as np
import pytest
import torch

import tests.elsewhere
from hetal.algs import QueryStrategy
from hetal.algs.random import Random
from hetal.app.compose import build_experiment
from hetal.app.launch import resolved
from hetal.errors import BadInput
from hetal.guard.changes import digest
from hetal.guard.query import check_ids
from hetal.models.mlp import MLP
from hetal.pool import Pool
from hetal.report.analyse.confounds import confounds_of
from hetal.report.load.reading import read
from hetal.rng import stream
from tests.command_line import TOY, command, composed, only, records, run_here
from tests.samples import some

MISTAKES = {
    "an_array": lambda pool, n: pool.unlabelled_ids()[:n].numpy(),
    "a_list": lambda pool, n: pool.unlabelled_ids()[:n].tolist(),
    "none": lambda pool, n: None,
    "floats": lambda pool, n: pool.unlabelled_ids()[:n].float(),
    "int32": lambda pool, n: pool.unlabelled_ids()[:n].int(),
    "a_mask": lambda pool, n: torch.arange(len(pool)) < n,
    "two_dimensions": lambda pool, n: pool.unlabelled_ids()[:n, None],
    "a_scalar": lambda pool, n: pool.unlabelled_ids()[0],
    "sparse": lambda pool, n: pool.unlabelled_ids()[:n].to_sparse(),
    "meta": lambda pool, n: torch.zeros(n, dtype=torch.long, device="meta"),
    "nested": lambda pool, n: torch.nested.nested_tensor([pool.unlabelled_ids()[:n]]),
    "too_many": lambda pool, n: pool.unlabelled_ids()[: n + 2],
    "too_few": lambda pool, n: pool.unlabelled_ids()[: n - 2],
    "nothing": lambda pool, n: pool.unlabelled_ids()[:0],
    "repeated": lambda pool, n: pool.unlabelled_ids()[:n].clamp(max=int(pool.unlabelled_ids()[n - 2])),
    "negative": lambda pool, n: pool.unlabelled_ids()[:n] - len(pool),
    "beyond": lambda pool, n: torch.arange(n) + len(pool),
    "labelled": lambda pool, n: pool.labelled_ids()[:n],
}
SAID = {
    "an_array": "a ndarray",
    "a_list": "a list",
    "none": "a NoneType",
    "floats": "torch.float32 of shape (20,)",
    "int32": "torch.int32 of shape (20,)",
    "a_mask": "torch.bool of shape (1000,)",
    "two_dimensions": "torch.int64 of shape (20, 1)",
    "a_scalar": "torch.int64 of shape ()",
    "sparse": "a sparse_coo tensor",
    "meta": "a meta tensor",
    "nested": "a nested tensor",
    "too_many": "22 ids",
    "too_few": "18 ids",
    "nothing": "0 ids",
    "repeated": " more than once",
    "negative": " of a pool whose ids are 0..999",
    "beyond": "id 1000 of a pool whose ids are 0..999",
    "labelled": ", which is labelled already",
}


class Mistaken(QueryStrategy):
    """Makes one of `MISTAKES` from a round on."""

    def __init__(self, mistake: str | None, at: int = 60) -> None:
        self.mistake = mistake
        self.at = at

    def query(self, fitted, pool, n, rng):
        if self.mistake is None or len(pool.labelled_ids()) < self.at:
            return pool.unlabelled_ids()[:n]
        return MISTAKES[self.mistake](pool, n)


MISTAKEN = [*TOY, "alg=random", "alg._target_=tests.test_acquire.Mistaken", "+alg.mistake=null"]


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """Return the records of a run without a mistake."""
    root = tmp_path_factory.mktemp("right")
    run_here(*MISTAKEN, root=root)
    return records(root)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_is_not_what_was_asked_for_is_one_line_and_nothing_written(
    mistake, right, tmp_path, monkeypatch
):
    monkeypatch.setattr(Mistaken, "__init__", lambda self, mistake: vars(self).update(mistake=wrong, at=60))
    wrong = mistake
    with pytest.raises(BadInput) as caught:
        run_here(*MISTAKEN, root=tmp_path / "wrong")
    said = str(caught.value)
    assert said.startswith("alg=random: query returned ")
    assert said.endswith("; asked for were 20 distinct unlabelled ids, a tensor of int64")
    assert SAID[mistake] in said
    (rounds,) = records(tmp_path / "wrong").values()
    assert [row["round"] for row in rounds] == [0]
    if mistake in some(MISTAKES):
        wrong = None  # mended: the same command continues
        run_here(*MISTAKEN, root=tmp_path / "wrong")
        assert records(tmp_path / "wrong") == right


def test_what_was_asked_for_passes_on_any_device():
    pool = Pool(torch.zeros(5, 2), torch.arange(5))
    pool.reveal(torch.tensor([1]), torch.tensor([0]))
    assert check_ids(torch.tensor([4, 0]), pool, 2, False, "x").tolist() == [4, 0]
    assert check_ids(torch.tensor([4]), pool, 2, True, "x").tolist() == [4]


class Stops(Random):
    """Has nothing to ask any more from some number of labels on."""

    may_stop = True

    def __init__(self, at: int) -> None:
        self.at = at

    def query(self, fitted, pool, n, rng):
        left = max(self.at - len(pool.labelled_ids()), 0)
        return super().query(fitted, pool, min(n, left), rng)


@pytest.mark.parametrize(("at", "labels"), [(50, [40, 50]), (60, [40, 60]), (40, [40]), (999, [40, 60, 80])])
def test_a_strategy_that_may_stop_ends_the_run_and_that_is_said(at, labels, tmp_path, capsys):
    line = [*TOY, "alg=random", "alg._target_=tests.test_acquire.Stops", f"+alg.at={at}"]
    run_here(*line, root=tmp_path)
    said = capsys.readouterr().out
    assert ("note: alg=random stopped early" in said) == (at < 80)
    (rounds,) = records(tmp_path).values()
    assert [row["n_labelled"] for row in rounds] == labels
    assert rounds[-1]["n_bought"] == 0
    assert json.loads((only(tmp_path) / "summary.json").read_text())["n_labelled"] == labels[-1]
    flags = confounds_of(read([tmp_path]).runs)
    assert ("stopped early at seed 0, at" in str(flags)) == (at < 80)
    run_here(*line, root=tmp_path)
    assert "finished already" in capsys.readouterr().out


def scale_images(fitted, pool):
    pool.images_M.mul_(2)


def scale_images_unseen(fitted, pool):
    pool.images_M.data[0] += 1


def write_through_numpy(fitted, pool):
    pool.images_M.numpy()[-1, 0, -1, -1] += 1


def swap_images(fitted, pool):
    pool.images_M[:2] = pool.images_M[:2].flip(0)


def replace_images(fitted, pool):
    pool.images_M = pool.images_M.float()


def point_elsewhere(fitted, pool):
    pool.source_N[0] = pool.source_N[1]


def write_labels(fitted, pool):
    pool.reveal(pool.unlabelled_ids()[:1], torch.tensor([0]))


def train_on(fitted, pool):
    network = fitted.networks.online
    network.train()
    x = torch.randn(8, 1, 8, 8)
    network(x)[0].sum().backward()
    torch.optim.SGD(network.parameters(), 0.1).step()


def shift_average(fitted, pool):
    next(fitted.networks.ema.parameters()).data.add_(1)


def leave_a_hook(fitted, pool):
    fitted.networks.online.register_forward_hook(lambda module, x, out: (-out[0], out[1]))


def patch_forward(fitted, pool):
    network = fitted.networks.online
    network.forward = lambda x, forward=network.forward: [-y for y in forward(x)]


def prepare_otherwise(fitted, pool):
    fitted._prepare = torch.nn.Identity()


def leave_a_memo(fitted, pool):
    pool.memo = 1


WRITES = {
    leave_a_hook: "fitted.networks.online's forward",
    patch_forward: "fitted.networks.online's forward",
    prepare_otherwise: "fitted._prepare",
    leave_a_memo: "pool.memo",
    scale_images: "pool.images_M",
    scale_images_unseen: "pool.images_M",
    write_through_numpy: "pool.images_M",
    swap_images: "pool.images_M",
    replace_images: "pool.images_M",
    point_elsewhere: "pool.source_N",
    write_labels: "the labels bought",
    train_on: "fitted.networks.online's ",
    shift_average: "fitted.networks.ema's ",
}


class Writes(Random):
    """Does something that it must not, and then buys at random."""

    def __init__(self, what: str) -> None:
        self.what = what

    def query(self, fitted, pool, n, rng):
        globals()[self.what](fitted, pool)
        return pool.unlabelled_ids()[:n]


@pytest.mark.parametrize("what", WRITES, ids=lambda what: what.__name__)
def test_a_strategy_that_writes_to_what_it_may_only_read_is_named(what, tmp_path):
    line = ["alg=random", "alg._target_=tests.test_acquire.Writes", f"+alg.what={what.__name__}"]
    with pytest.raises(BadInput, match=rf"^alg=random: query changed {WRITES[what]}.*may only read"):
        run_here(*TOY, *line, root=tmp_path)
    assert records(tmp_path) == {}


def use_float64(fitted, pool):
    torch.set_default_dtype(torch.float64)


def use_threads(fitted, pool):
    torch.set_num_threads(3)


def forget_gradients(fitted, pool):
    torch.set_grad_enabled(False)


@pytest.fixture
def as_before():
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(1)
    torch.set_grad_enabled(True)


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize(
    ("what", "said"),
    [
        (use_float64, r"torch.get_default_dtype\(\) from torch.float32 to torch.float64"),
        (use_threads, r"torch.get_num_threads\(\) from 1 to 3"),
        (forget_gradients, r"torch.is_grad_enabled\(\) from True to False"),
    ],
    ids=lambda what: getattr(what, "__name__", ""),
)
def test_a_strategy_that_changes_the_whole_process_is_named(what, said, tmp_path):
    line = ["alg=random", "alg._target_=tests.test_acquire.Writes", f"+alg.what={what.__name__}"]
    with pytest.raises(BadInput, match=rf"^alg=random: query changed {said}.*set it back"):
        run_here(*TOY, *line, root=tmp_path)
    assert records(tmp_path) == {}


SEEN: list[int] = []
THING = types.SimpleNamespace(count=0)


def counting():
    """Whose attributes are its memory."""


def enclosed():
    count = 0

    def step():
        nonlocal count
        count += 1

    return step


step = enclosed()


class Remembers(QueryStrategy):
    """Remembers something in one of several places."""

    seen: list[int] = []  # noqa: RUF012 (a mistake on purpose)

    def __init__(self, where: str) -> None:
        self.where = where
        self.mine: dict[str, torch.Tensor] = {}
        self.rng = np.random.default_rng(0)
        self.python = random.Random(0)
        self.torch = torch.Generator().manual_seed(0)
        self.order = torch.arange(4096)
        self.net = torch.nn.BatchNorm1d(2)
        self.net.count = 0
        self.turns = itertools.cycle([1, 2])

    def query(self, fitted, pool, n, rng, since=[]):  # noqa: B006 (a mistake on purpose)
        ids = pool.unlabelled_ids()
        DEEDS[self.where](self, since)
        return ids[:n]


def roll(self, since):
    self.order.copy_(self.order.roll(1))


def count_on_network(self, since):
    self.net.count += 1


def leave_gradients(self, since):
    self.net(torch.randn(4, 2)).sum().backward()


def count_elsewhere(self, since):
    tests.elsewhere.COUNTS["queries"] = tests.elsewhere.COUNTS.get("queries", 0) + 1


def count_on_function(self, since):
    counting.count = getattr(counting, "count", 0) + 1


def count_on_thing(self, since):
    THING.count += 1


DEEDS = {
    "attribute": lambda self, since: self.mine.update(last=torch.zeros(1)),
    "class": lambda self, since: self.seen.append(1),
    "module": lambda self, since: SEEN.append(1),
    "numpy": lambda self, since: self.rng.random(),
    "python": lambda self, since: self.python.random(),
    "torch": lambda self, since: torch.rand(1, generator=self.torch),
    "iterator": lambda self, since: next(self.turns),
    "default": lambda self, since: since.append(1),
    "closure": lambda self, since: step(),
    "object": count_on_thing,
    "function": count_on_function,
    "another module": count_elsewhere,
    "order": roll,
    "network": count_on_network,
    "gradients": leave_gradients,
}


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("attribute", "self.mine"),
        ("class", "Remembers.seen"),
        ("module", "tests.test_acquire.SEEN"),
        ("numpy", "self.rng"),
        ("python", "self.python"),
        ("torch", "self.torch"),
        ("iterator", "self.turns"),
        ("default", "Remembers.query"),
        ("closure", "tests.test_acquire.step"),
        ("object", "tests.test_acquire.THING"),
        ("function", "tests.test_acquire.counting"),
        ("another module", "tests.elsewhere.COUNTS"),
        ("order", "self.order"),
        ("network", "self.net"),
        ("gradients", "self.net"),
    ],
)
def test_what_a_strategy_remembers_without_keeping_it_is_named(where, said, tmp_path):
    line = [
        "alg=random",
        "alg._target_=tests.test_acquire.Remembers",
        f"+alg.where={where.replace(' ', '_')}",
    ]
    DEEDS.setdefault(where.replace(" ", "_"), DEEDS[where])
    with pytest.raises(BadInput, match=rf"^alg=random: query changed (\S+, )*{said}, .*state_dict\(\)"):
        run_here(*TOY, *line, root=tmp_path)
    assert records(tmp_path) == {}


class Caches(Random):
    """Remembers what follows from its settings and what it is given."""

    @functools.cached_property
    def table(self):
        return torch.arange(10)

    @functools.lru_cache  # noqa: B019
    def square(self, x):
        return x * x

    def query(self, fitted, pool, n, rng):
        logging.getLogger("mine").info("asked for %s", self.square(n) + int(self.table[1]))
        return super().query(fitted, pool, n, rng)


class Notes(MLP):
    """Notes what it last saw, and how often it was asked."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.asked = 0

    def forward(self, x):
        self.last, self.asked = x, self.asked + 1
        return super().forward(x)


def test_what_a_network_notes_is_not_the_strategy_s_doing(tmp_path):
    run_here(*TOY, "alg=badge", "model._target_=tests.test_acquire.Notes", root=tmp_path)
    assert len(records(tmp_path)) == 1


def test_arrays_of_every_type_have_a_digest():
    held = [
        np.zeros(3, kind)
        for kind in ("f2", "M8[s]", "m8[D]", "U3", "V4", "?", "c16", [("a", "i4"), ("b", "M8[s]")])
    ]
    assert len({digest(array) for array in held}) == len(held)
    dates = np.array(["2026-01-01", "2026-01-02"], "M8[D]")
    assert digest(dates) == digest(dates.copy()) != digest(dates[::-1])
    assert digest(np.array(1.5)) != digest(np.array(2.5))


def test_caches_and_loggers_are_no_memory(tmp_path):
    run_here(*TOY, "alg=random", "alg._target_=tests.test_acquire.Caches", root=tmp_path)
    assert len(records(tmp_path)) == 1


class Keeps(QueryStrategy):
    """Buys ever farther from the front, by what it remembers."""

    def __init__(self) -> None:
        self.turns = torch.zeros(1, dtype=torch.long)
        self.log: list[str] = []

    def query(self, fitted, pool, n, rng):
        self.turns += 1
        self.log.append(f"asked for {n}")
        return pool.unlabelled_ids().roll(3 * int(self.turns))[:n]

    def state_dict(self):
        return {"turns": self.turns, "log": self.log}

    def load_state_dict(self, state):
        self.turns, self.log = state["turns"], state["log"]


class DiesLater(Keeps):
    """Fails in its third query, as long as `dies` says so."""

    dies = True

    def query(self, fitted, pool, n, rng):
        if self.dies and len(self.log) == 2:
            raise RuntimeError("killed")
        return super().query(fitted, pool, n, rng)


def test_a_state_is_kept_with_every_round_and_a_resumed_run_ends_alike(tmp_path, monkeypatch):
    line = [*TOY, "n_end=120", "alg=random", "alg._target_=tests.test_acquire.DiesLater"]
    with pytest.raises(RuntimeError, match="killed"):
        run_here(*line, root=tmp_path / "cut")
    assert sorted(path.name for path in only(tmp_path / "cut").glob("strategy-*")) == [
        "strategy-0.pt",
        "strategy-1.pt",
    ]
    monkeypatch.setattr(DiesLater, "dies", False)
    run_here(*line, root=tmp_path / "cut")
    run_here(*line, root=tmp_path / "whole")
    assert records(tmp_path / "cut") == records(tmp_path / "whole")
    cut, whole = (only(tmp_path / name) for name in ("cut", "whole"))
    assert (cut / "queries.npz").read_bytes() == (whole / "queries.npz").read_bytes()
    assert (cut / "strategy-3.pt").read_bytes() == (whole / "strategy-3.pt").read_bytes()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), "is missing, which the next query depends on"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "is damaged"),
        (lambda path: path.write_bytes(b""), "is damaged"),
    ],
)
def test_a_state_that_is_lost_is_named(damage, said, tmp_path, monkeypatch):
    line = [*TOY, "n_end=120", "alg=random", "alg._target_=tests.test_acquire.DiesLater"]
    with pytest.raises(RuntimeError):
        run_here(*line, root=tmp_path)
    damage(only(tmp_path) / "strategy-1.pt")
    monkeypatch.setattr(DiesLater, "dies", False)
    with pytest.raises(BadInput, match=rf"strategy-1\.pt {said}"):
        run_here(*line, root=tmp_path)


class KeepsTooMuch(Keeps):
    def state_dict(self):
        return {"log": [np.zeros(3)]}


class KeepsOrdered(Keeps):
    """Keeps what torch calls a state_dict."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.BatchNorm1d(2)

    def query(self, fitted, pool, n, rng):
        self.net(torch.randn(4, 2, generator=rng))
        return super().query(fitted, pool, n, rng)

    def state_dict(self):
        return {**super().state_dict(), "net": self.net.state_dict()}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.net.load_state_dict(state["net"])


def test_torch_s_own_states_are_kept(tmp_path):
    run_here(*TOY, "alg=random", "alg._target_=tests.test_acquire.KeepsOrdered", root=tmp_path)
    assert len(records(tmp_path)) == 1


class KeepsANumber(Keeps):
    def state_dict(self):
        return {**super().state_dict(), "best": np.float64(1.5)}


class Forgets(Keeps):
    def load_state_dict(self, state):
        self.turns = state["turns"]


class CannotLoad(Keeps):
    def load_state_dict(self, state):
        self.turns = state["turn"]


class MayBe(Random):
    may_stop = "no"


class KeepsHalf(Random):
    def state_dict(self):
        return {"a": 1}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("KeepsTooMuch", r"state_dict\(\)\['log'\]\[0\] is a ndarray; only tensors, numbers"),
        ("KeepsANumber", r"state_dict\(\)\['best'\] is a float64; only tensors, numbers"),
        ("Forgets", r"self.log is not as it was once state_dict\(\) is loaded again"),
        ("CannotLoad", r"load_state_dict fails: KeyError: 'turn' \(.*test_acquire.py:\d+\)"),
        ("KeepsHalf", "defines one of state_dict and load_state_dict"),
        ("MayBe", "may_stop is 'no'; it must be True or False"),
    ],
)
def test_a_state_that_cannot_be_kept_is_named(kind, said, tmp_path):
    with pytest.raises(BadInput, match=rf"^alg=random: {said}"):
        run_here(*TOY, "alg=random", f"alg._target_=tests.test_acquire.{kind}", root=tmp_path)
    assert records(tmp_path) == {}


class Draws(QueryStrategy):
    """Draws from every global generator, in its constructor and in its queries."""

    def __init__(self) -> None:
        self.first = _drawn()

    def query(self, fitted, pool, n, rng):
        ids = pool.unlabelled_ids()
        return ids[torch.tensor([_drawn() for _ in ids]).argsort()[:n]].roll(int(1e6 * self.first))


def _drawn() -> float:
    return float(torch.rand(())) + float(np.random.rand()) + random.random()  # noqa: NPY002


def test_global_generators_stand_where_the_seed_puts_them(tmp_path):
    """At the first job and the last, after a resume, whatever was drawn before."""
    line = [*TOY, "alg=random", "alg._target_=tests.test_acquire.Draws"]
    run_here(*line, root=tmp_path / "one")
    _drawn()
    before = (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate())  # noqa: NPY002
    run_here(*line, root=tmp_path / "two")
    after = (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate())  # noqa: NPY002
    assert before == after
    assert records(tmp_path / "one") == records(tmp_path / "two")
    run_here(*line, "seed=1", root=tmp_path / "other")
    bought = [np.load(only(tmp_path / name) / "queries.npz")["ids"].tolist() for name in ("one", "other")]
    assert bought[0] != bought[1]


class Position(QueryStrategy):
    """Goes by positions of rows or of images, in several ways."""

    def __init__(self, by: str) -> None:
        self.by = by

    def query(self, fitted, pool, n, rng):
        ids = pool.unlabelled_ids()
        if self.by == "lowest":
            return ids[:n]
        if self.by == "highest":
            return ids[-n:]
        if self.by == "topk":
            return ids[torch.zeros(len(ids)).topk(n).indices]
        return pool.lowest_rows_showing(
            pool.distinct().images.sort(descending=self.by == "last images").values[:n]
        )


@pytest.mark.parametrize("noise", ["blank", "diverse", "class"])
def test_positions_tell_nothing(noise, tmp_path):
    config = resolved(composed(*TOY, f"noise={noise}", root=tmp_path))
    # Rows: 20 x 200 of 20 x 1,000 rows, drawn without replacement, a standard deviation of 0.6 points. Images: 20 x 100
    # of 20 times 192 clean images that are not labelled yet and 100 solid ones, a deviation of 0.9 points.
    by_row = (200, 0.18 if noise == "class" else 0.2, 0.025)
    expected = dict.fromkeys(["lowest", "highest", "topk"], by_row)
    if noise == "diverse":
        expected |= dict.fromkeys(["first images", "last images"], (100, 192 / 292, 0.04))
    flags: dict[str, list[torch.Tensor]] = {by: [] for by in expected}
    for seed in range(20):
        setup = build_experiment({**config, "seed": seed}, "x").prepare(torch.device("cpu"))
        setup.pool.reveal(setup.start_ids, setup.oracle.label(setup.start_ids))
        for by, (n, *_) in expected.items():
            flags[by].append(
                setup.oracle.is_noisy(Position(by).query(None, setup.pool, n, stream(seed, "query")))
            )
    for by, (_, share, off) in expected.items():
        assert 1 - float(torch.cat(flags[by]).double().mean()) == pytest.approx(share, abs=off)


def test_a_user_s_own_noise_is_shuffled_too(tmp_path):
    line = [
        "alg=random",
        "alg._target_=tests.test_acquire.Position",
        "+alg.by=lowest",
        "n_query=200",
        "n_end=240",
    ]
    run_here(*TOY, *line, "noise._target_=tests.test_acquire.last_rows_noisy", "noise=clean", root=tmp_path)
    with np.load(only(tmp_path) / "queries.npz") as arrays:
        assert 0.3 < arrays["is_noisy"].mean() < 0.7


def last_rows_noisy(train, n_classes, rng):
    from hetal.noise.rows import extend

    k = len(train)
    return extend(train, train.images[:0], torch.arange(k), torch.zeros(k).long())


def bad_labels(train, n_classes, rng):
    from hetal.noise.rows import extend

    return extend(train, train.images[:0], torch.arange(3), torch.full((3,), n_classes))


def bad_sources(train, n_classes, rng):
    from hetal.noise.rows import extend

    return extend(train, train.images[:0], torch.full((3,), len(train)), torch.zeros(3).long())


def float_labels(train, n_classes, rng):
    import dataclasses

    from hetal.noise.rows import extend

    pool = extend(train, train.images[:0], torch.zeros(0).long(), torch.zeros(0).long())
    return dataclasses.replace(pool, labels_N=pool.labels_N.float())


def a_tuple(train, n_classes, rng):
    return train.images, train.labels


@pytest.mark.parametrize(
    ("noise", "said"),
    [
        (
            "bad_labels",
            "noise: labels_N holds 0..10; it must be in 0..9, or -1 in noisy rows, where a query is rejected",
        ),
        ("bad_sources", "noise: source_N holds 0..200; it must be in 0..199"),
        (
            "float_labels",
            "noise: labels_N is torch.float32 of shape (200,); it must be torch.int64 of shape (200,)",
        ),
        ("a_tuple", "noise: tests.test_acquire.a_tuple gives a tuple; it must give a NoisyPool"),
    ],
)
def test_a_user_s_noise_that_makes_no_pool_is_named(noise, said, tmp_path):
    with pytest.raises(BadInput) as caught:
        run_here(*TOY, "noise=clean", f"noise._target_=tests.test_acquire.{noise}", root=tmp_path)
    assert str(caught.value) == said
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_it_in_one_line(tmp_path):
    line = [*TOY, "alg=random", "alg._target_=tests.test_acquire.Writes", "+alg.what=scale_images"]
    done = command(*line, f"root={tmp_path}")
    assert done.returncode == 1
    assert done.stderr == (
        "error: alg=random: query changed pool.images_M, which it may only read; clone() or deepcopy() makes a copy "
        "to write to\n"
    )
