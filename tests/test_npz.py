"""The user's own .npz: what is read from it, what every fault says, and that no bytes cause a traceback."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hetal.data import load_npz, standardise
from hetal.data.standardise import statistics
from hetal.errors import BadInput
from hetal.rng import stream
from hetal.task import Task
from tests.command_line import records, run_here
from tests.tiny_data import load


def arrays(**changes: np.ndarray) -> dict[str, np.ndarray]:
    """A valid file's arrays: 12 training and 6 test images of 3 classes."""
    rng = np.random.default_rng(0)
    valid = {
        "x_train": rng.integers(0, 256, (12, 2, 5, 5), dtype=np.uint8),
        "y_train": np.arange(12) % 3,
        "x_test": rng.integers(0, 256, (6, 2, 5, 5), dtype=np.uint8),
        "y_test": np.arange(6) % 3,
    }
    return {**valid, **changes}


def npz(path: Path, *overrides: str) -> Task:
    return load("npz", f"data.path='{path}'", *overrides)


def saved(tmp_path: Path, content: dict[str, np.ndarray]) -> Path:
    path = tmp_path / "own.npz"
    np.savez(path, **content)
    return path


def test_npz_is_read_as_it_was_saved(tmp_path):
    content = arrays()
    task = npz(saved(tmp_path, content))
    assert task.n_classes == 3
    assert torch.equal(task.train.images, torch.from_numpy(content["x_train"]))
    assert torch.equal(task.test.labels, torch.from_numpy(content["y_test"]))
    np.testing.assert_allclose(task.mean, content["x_train"].mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(task.std, content["x_train"].std(axis=(0, 2, 3)))
    compressed = tmp_path / "compressed.npz"
    np.savez_compressed(compressed, **content)
    assert torch.equal(npz(compressed).train.images, task.train.images)


@pytest.mark.parametrize(
    ("shape", "image_shape"),
    [
        ((5, 4), (1, 5, 4)),
        ((3, 5, 4), (3, 5, 4)),
        ((7,), (7,)),
        ((1, 9, 1), (1, 9, 1)),
        ((28, 20, 20), (28, 20, 20)),  # many channels
        ((64, 4, 4), (64, 4, 4)),
        ((64, 1, 9), (64, 1, 9)),  # a series of 64 sensors
        ((4, 5, 3), (4, 5, 3)),
    ],
)
@pytest.mark.parametrize("dtype", ["u1", "<f8", ">f8", "f4", "f2", "g"])
def test_npz_layouts_and_types(tmp_path, shape, image_shape, dtype):
    x_train, x_test = np.full((12, *shape), 3, dtype), np.full((6, *shape), 3, dtype)
    x_train[0] = 5
    task = npz(saved(tmp_path, arrays(x_train=x_train, x_test=x_test)))
    assert task.image_shape == image_shape
    kept = {"u1": torch.uint8, "f2": torch.float16 if len(shape) == 1 else torch.float32}
    assert task.train.images.dtype == kept.get(dtype, torch.float32)
    assert bool((task.train.images[0] == 5).all())
    assert bool((task.test.images == 3).all())


@pytest.mark.parametrize("dtype", ["i1", "u1", ">i4", "u8", "i8"])
def test_npz_labels_of_any_whole_type(tmp_path, dtype):
    task = npz(saved(tmp_path, arrays(y_train=(np.arange(12) % 3).astype(dtype))))
    assert task.train.labels.tolist() == [0, 1, 2] * 4


@pytest.mark.parametrize(
    ("y_train", "y_test", "names"),
    [
        (["dog", "ant", "cat"] * 4, ["cat"] * 6, ("ant", "cat", "dog")),
        ([7.0, -3.0, 2.0] * 4, [2] * 6, ("-3", "2", "7")),
        ([3, 1, 2] * 4, [2.0] * 6, ("1", "2", "3")),
        ([b"\xc3\xa9", b"a", b"b"] * 4, [b"b"] * 6, ("a", "b", "é")),
    ],
)
def test_npz_labels_of_other_types_are_mapped_with_a_note(y_train, y_test, names, tmp_path):
    task = npz(saved(tmp_path, arrays(y_train=np.array(y_train), y_test=np.array(y_test))))
    assert task.class_names == names
    assert task.notes == (f"labels {', '.join(names)} are classes 0 to 2",)
    assert task.train.labels.tolist() == [2, 0, 1] * 4
    assert task.test.labels.tolist() == [1] * 6


def test_npz_channels_last_by_layout(tmp_path):
    content = arrays()
    last = {key: content[key].transpose(0, 2, 3, 1) for key in ("x_train", "x_test")}
    task = npz(saved(tmp_path, arrays(**last)), "data.layout=NHWC")
    assert torch.equal(task.train.images, torch.from_numpy(content["x_train"]))
    assert task.train.images.is_contiguous()
    grey = {
        key: content[key][:, 0] for key in ("x_train", "x_test")
    }  # without channels there is nothing to move
    assert npz(saved(tmp_path, arrays(**grey)), "data.layout=NHWC").image_shape == (1, 5, 5)
    with pytest.raises(
        BadInput, match=r"x_train has shape \(12, 3, 8, 9\), channels first, which is data\.layout=NCHW"
    ):
        npz(saved(tmp_path, arrays(x_train=np.zeros((12, 3, 8, 9)))), "data.layout=NHWC")
    with pytest.raises(BadInput, match=r"^data\.layout=HWC: must be NCHW or NHWC$"):
        npz(tmp_path / "own.npz", "data.layout=HWC")


def test_npz_other_labels_are_bought_and_other_arrays_do_not_matter(tmp_path):
    worst = np.array(["b", "a", "a", *["a", "b"] * 4, "a"])
    content = arrays(
        y_train=np.array(["a", "b"] * 6), y_test=np.array(["b", "a"] * 3), human_worst=worst,
        human_best_train=np.array(["a", "b"] * 6), votes=np.zeros((3, 3)), names=np.array("x"), short=np.arange(3),
        human_same=np.array(["b"] * 12),
    )  # fmt: skip
    path = saved(tmp_path, content)
    task = npz(path, "data.labels=human_worst")
    assert task.train.labels.tolist() == (worst == "b").tolist()
    assert task.test.labels.tolist() == [1, 0] * 3
    assert task.notes[1] == "data.labels=human_worst: 91.7% of the labels differ from y_train"
    assert npz(path, "data.labels=human_best").notes[1].endswith("0.0% of the labels differ from y_train")
    for name, said in {
        "expert": "has no array expert or expert_train, for data.labels=expert; it holds x_train, y_train, x_test, ",
        "short": "data.labels=short: short has 3 labels for 12 images",
        "votes": "data.labels=votes: votes has shape (3, 3); labels must be of shape (n,)",
        "names": "data.labels=names: names has shape ()",
        "human_same": "data.labels=human_same: human_same has no label a, which y_train has",
    }.items():
        with pytest.raises(BadInput) as caught:
            npz(path, f"data.labels={name}")
        assert said in str(caught.value)


def test_npz_keeps_what_else_is_known_of_the_training_rows(tmp_path):
    rng = np.random.default_rng(0)
    more = {
        "human_one": rng.integers(3, size=12),
        "human_two_train": rng.integers(3, size=12).astype(float),
        "human_short": np.zeros(5, int),
        "votes_train": rng.integers(1, 9, (12, 3)),
        "features_train": rng.normal(size=(12, 4)),
        "other": np.zeros(7),
    }
    path = saved(tmp_path, arrays(**more))
    task = npz(path)
    columns = task.train.columns
    assert {*columns} == {"human_one", "human_two", "votes", "features"}
    assert columns["human_two"].tolist() == more["human_two_train"].tolist()
    assert columns["votes"].tolist() == more["votes_train"].tolist()
    assert columns["features"].dtype == torch.float32
    assert task.notes == ("array human_short is left out: human_short has 5 labels for 12 images",)
    some = npz(path, "data.n_train=6").train
    at = [int((task.train.images == image).flatten(1).all(1).nonzero()) for image in some.images]
    for name, column in some.columns.items():
        assert torch.equal(column, columns[name][at])


@pytest.mark.parametrize(
    ("fault", "column"),
    [
        (r"votes_train has shape \(12, 2\); it must be \(n, 3\), one column", {"votes_train": np.ones((12, 2))}),
        ("votes_train has 11 rows for 12 images", {"votes_train": np.ones((11, 3))}),
        ("votes_train must hold numbers, 0 or more, and no row of zeros", {"votes_train": np.zeros((12, 3))}),
        ("votes_train must hold numbers, 0 or more, and no row of zeros", {"votes_train": np.full((12, 3), np.nan)}),
        ("votes_train is <U1; votes are numbers", {"votes_train": np.full((12, 3), "a")}),
        (r"features_train has shape \(12,\); it must be \(n, D\)", {"features_train": np.ones(12)}),
        ("features_train holds NaN", {"features_train": np.full((12, 2), np.nan)}),
    ],
)  # fmt: skip
def test_npz_columns_that_are_none(fault, column, tmp_path):
    with pytest.raises(BadInput, match=fault):
        npz(saved(tmp_path, arrays(**column)))


def test_npz_standardises_as_named_and_explicit_constants_win(tmp_path):
    x = np.array([[0.0, 10], [2, 30]] * 6)
    path = saved(tmp_path, arrays(x_train=x, x_test=x[:6]))
    assert (npz(path).mean, npz(path).std) == ((1, 20), (1, 10))
    task = npz(path, "data.standardise=all")
    assert (task.mean, task.std) == ((10.5,), pytest.approx((x.std(),)))
    assert (npz(path, "data.standardise=none").mean, npz(path, "data.standardise=none").std) == ((0,), (1,))
    assert npz(path, "data.standardise=all", "data.std=[4]").std == (4,)
    with pytest.raises(BadInput, match=r"^data\.standardise=pixel: must be feature, all or none$"):
        npz(path, "data.standardise=pixel", "data.std=[4]", "data.mean=[4]")


def test_npz_constants_may_be_given_and_a_constant_feature_has_std_1(tmp_path):
    x_train = np.stack([np.full(12, 1e9), np.arange(12) % 2], axis=1)
    path = saved(tmp_path, arrays(x_train=x_train, x_test=x_train[:6]))
    task = npz(path)
    assert task.mean == (1e9, 0.5)
    assert task.std == (1.0, 0.5)
    task = npz(path, "data.mean=[1]", "data.std=[2,3]")
    assert (task.mean, task.std) == ((1,), (2, 3))


def test_mean_and_std_add_up_over_slices(monkeypatch):
    images = torch.randn(9000, 3, 2, 2, generator=stream(0, "x")) * 4 + 1000
    mean, std = statistics(images, "feature")
    torch.testing.assert_close(torch.tensor(mean), images.double().mean((0, 2, 3)).float())
    torch.testing.assert_close(torch.tensor(std), images.double().std((0, 2, 3), correction=0).float())
    monkeypatch.setattr(standardise, "NUMBERS_AT_ONCE", 100)
    assert max(part.numel() for part in standardise._slices(images)) == 96
    torch.testing.assert_close(statistics(images, "feature"), (mean, std))


def test_npz_n_train_and_the_home_folder(tmp_path, monkeypatch):
    saved(tmp_path, arrays())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert torch.bincount(npz(Path("~/own.npz"), "data.n_train=6").train.labels).tolist() == [2, 2, 2]


FAULTS = {
    "x_train is int64; it must be uint8 or a float type": {"x_train": np.zeros((12, 2, 5, 5), dtype=int)},
    "x_test is bool": {"x_test": np.zeros((6, 2, 5, 5), dtype=bool)},
    "x_train is complex128": {"x_train": np.zeros((12, 2, 5, 5), dtype=complex)},
    "x_train is <U1": {"x_train": np.full((12, 2), "a")},
    "x_train has shape (12,)": {"x_train": np.zeros(12)},
    "x_train has shape ()": {"x_train": np.array(1.0)},
    "x_train has shape (12, 2, 5, 5, 1)": {"x_train": np.zeros((12, 2, 5, 5, 1))},
    "x_train has shape (0, 2, 5, 5)": {"x_train": np.zeros((0, 2, 5, 5))},
    "x_train has shape (12, 0)": {"x_train": np.zeros((12, 0))},
    "x_train has shape (12, 8, 8, 3), channels last": {"x_train": np.zeros((12, 8, 8, 3))},
    "x_train has shape (12, 28, 20, 1), channels last": {"x_train": np.zeros((12, 28, 20, 1))},
    "x_train has shape (12, 28, 20, 3), channels last": {"x_train": np.zeros((12, 28, 20, 3))},
    "x_train has shape (12, 32, 32, 4), channels last": {"x_train": np.zeros((12, 32, 32, 4))},
    "x_train has shape (12, 5, 90, 2), channels last": {"x_train": np.zeros((12, 5, 90, 2), np.uint8)},
    "x_test has shape (6, 28, 20, 1), channels last; it must be (n, C, H, W), or data.layout=NHWC. Images of 28": {
        "x_test": np.zeros((6, 28, 20, 1))
    },
    "x_train holds NaN": {"x_train": np.full((12, 2, 5, 5), np.nan)},
    "x_test holds NaN, infinity": {"x_test": np.full((6, 2, 5, 5), 1e39)},
    "y_train has 11 labels for 12 images": {"y_train": np.arange(11) % 3},
    "y_test has 7 labels for 6 images": {"y_test": np.arange(7) % 3},
    "y_train holds 0.5; labels must be whole numbers or text": {"y_train": np.arange(12) / 2},
    "y_train: 1 labels are missing": {"y_train": np.array([np.nan, *range(11)])},
    "y_train and y_test must both hold text or both numbers": {"y_train": np.array(["a", "b", "c"] * 4)},
    "y_train has shape (12, 3)": {"y_train": np.eye(12, 3, dtype=int)},
    "y_train holds 18446744073709551615": {"y_train": np.array([0] * 11 + [2**64 - 1], dtype=np.uint64)},
    "y_train is datetime64[s]": {"y_train": np.zeros(12, "M8[s]")},
    "y_train holds one class only": {"y_train": np.zeros(12, dtype=int)},
    "y_test holds the label 3, which y_train does not": {"y_test": np.arange(6) % 4},
    "x_train holds uint8 (2, 5, 5) and x_test float32 (2, 5, 5)": {"x_test": np.zeros((6, 2, 5, 5))},
    "and x_test uint8 (2, 5, 4)": {"x_test": np.zeros((6, 2, 5, 4), dtype=np.uint8)},
    "x_train holds Python objects, which are never read; save text as array.astype(str)": {
        "x_train": np.array([None] * 12)
    },
}


def npz_fault(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        npz(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"data.path={path}: ")
    return message


@pytest.mark.parametrize("fault", FAULTS)
def test_npz_names_its_fault(fault, tmp_path):
    assert fault in npz_fault(saved(tmp_path, arrays(**FAULTS[fault])))


@pytest.mark.parametrize("key", ["x_train", "y_train", "x_test", "y_test"])
def test_npz_names_a_missing_array(key, tmp_path):
    content = arrays()
    del content[key]
    assert f"has no array {key}; it must hold x_train, " in npz_fault(saved(tmp_path, content))


def test_npz_files_that_are_none(tmp_path):
    assert "there is no such file" in npz_fault(tmp_path / "absent.npz")
    assert "cannot be read" in npz_fault(tmp_path)
    assert "there is no such file" in npz_fault(Path("~no such user/own.npz"))
    assert "there is no such file" in npz_fault(Path("5"))
    (tmp_path / "empty.npz").write_bytes(b"")
    assert "cannot be read" in npz_fault(tmp_path / "empty.npz")
    (tmp_path / "text.npz").write_text("label,pixel0\n1,2\n")
    assert "cannot be read" in npz_fault(tmp_path / "text.npz")
    np.save(tmp_path / "single.npy", np.zeros(3))
    assert "not an .npz file but a single array" in npz_fault(tmp_path / "single.npy")
    path = saved(tmp_path, arrays())
    path.write_bytes(path.read_bytes()[:-200])
    assert "cannot be read" in npz_fault(path)


def test_npz_without_a_path_says_what_to_give():
    with pytest.raises(BadInput, match=r"^data\.path is not set: data\.path=FILE\.npz"):
        load("npz")


def loads_or_says_why(path: Path) -> None:
    fault = None
    try:
        task = load_npz(
            str(path), layout="NCHW", labels=None, n_train=None, standardise=None, mean=None, std=None,
            rng=stream(0, "data"),
        )  # fmt: skip
        assert np.isfinite([*task.mean, *task.std]).all()
    except BadInput as error:
        fault = str(error)
    assert fault is None or fault.startswith(f"data.path={path}: ")


VALID = io.BytesIO()
np.savez(VALID, **arrays())


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_npz_survives_any_bytes(data, tmp_path_factory):
    """Random bytes, or a valid file with a few bytes changed, cut or put in: a task, or one line."""
    content = bytearray(VALID.getvalue())
    if data.draw(st.booleans(), label="random"):
        content = bytearray(data.draw(st.binary(max_size=200)))
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(content)))
            cut = data.draw(st.integers(0, 3) | st.integers(0, len(content)))
            content[at : at + cut] = data.draw(st.binary(max_size=4))
    path = tmp_path_factory.mktemp("fuzz") / "own.npz"
    path.write_bytes(content)
    loads_or_says_why(path)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_npz_survives_any_arrays(data, tmp_path_factory):
    """Well-formed files of arrays of any type and shape: a task that can be standardised, or one line."""

    def draw(key: str, dtypes: str, ranks: tuple[int, int]) -> np.ndarray:
        dtype = data.draw(st.sampled_from(dtypes.split()), label=key)
        shape = data.draw(st.lists(st.integers(0, 4), min_size=ranks[0], max_size=ranks[1]))
        size = int(np.prod(shape))
        raw = data.draw(st.binary(min_size=0, max_size=max(size, 1) * np.dtype(dtype).itemsize))
        raw = raw.ljust(size * np.dtype(dtype).itemsize, b"\0")
        return np.frombuffer(raw, dtype=dtype, count=size).reshape(shape)

    content = arrays()
    for key in data.draw(st.sets(st.sampled_from(sorted(content)), min_size=1)):
        content[key] = draw(key, "u1 f2 f4 >f8 i8 u8 ? c8 S3 U2 M8[s] V4", (0, 5))
    loads_or_says_why(saved(tmp_path_factory.mktemp("fuzz"), content))


def run_table(tmp_path: Path, noise: str, columns: np.ndarray, *overrides: str) -> list[dict]:
    labels = (columns[:, 0] > np.median(columns[:, 0])).astype(int)
    tmp_path.mkdir(exist_ok=True)
    path = tmp_path / "table.npz"
    np.savez(path, x_train=columns[:200], y_train=labels[:200], x_test=columns[200:], y_test=labels[200:])
    root = tmp_path / noise
    overrides += ("noise.labels_per_color=2",) * (noise == "diverse")
    run_here(
        "data=npz", f"data.path={path}", f"noise={noise}", "tracker=none", "device=cpu", "mult=2", "n_start=20",
        "n_query=20", "n_end=60", "train.max_epochs=3", "optimizer.lr=1e-2", *overrides, root=root,
    )  # fmt: skip
    (rounds,) = records(root).values()
    return rounds


SCALES = np.array([1.0, 1e-9, 1e3, 1e12, 0.0])
OFFSETS = np.array([0.0, 0.0, 2000.0, 1.6e18, 5.0])  # years, nanoseconds, a constant


@pytest.mark.parametrize("noise", ["clean", "blank", "diverse", "class", "copies"])
def test_tables_of_any_scale_run_under_any_noise(noise, tmp_path):
    columns = np.random.default_rng(0).normal(size=(201, 5)) * SCALES + OFFSETS  # and one test row
    rounds = run_table(tmp_path, noise, columns.astype(np.float64))
    assert [r["n_labelled"] for r in rounds] == [20, 40, 60]
    rounds = run_table(tmp_path / noise, noise, columns[:, :1])  # one feature
    assert rounds[-1]["n_labelled"] == 60


def test_diverse_noise_on_a_table_is_not_told_by_the_scale_of_its_features(tmp_path):
    """At the parent of this, one value over all features made noise of every small feature's outlier: 99% clean."""
    columns = np.random.default_rng(0).normal(size=(260, 8)) * np.logspace(0, 4, 8)
    rounds = run_table(tmp_path, "diverse", columns, "alg=badge")
    assert all(r["clean_share"] < 0.9 for r in rounds[:-1])


def test_standardised_values_that_float32_cannot_hold_are_refused(tmp_path):
    columns = np.random.default_rng(0).normal(size=(220, 2))
    for std, allowed in (("1e-40", "data.std"), ("1e-37", "beyond what float32 holds")):
        with pytest.raises(BadInput, match=allowed):
            run_table(tmp_path, "clean", columns * 1e3, f"data.std=[{std},1]")
