"""What a run keeps of its purchases, for reports that have no data."""

import shutil

import numpy as np
import pytest

from benchmarks.classes import setup_of
from hetal.report.load.reading import read
from tests.command_line import TOY, only, run_here

QUICK = ["device=cpu", "tracker=none", "train.max_epochs=1"]
MOONS = [
    "+experiment=four_moons", *QUICK, "data.n_per_pair=200", "n_start=20", "n_query=20", "n_end=80", "alg=confidence",
]  # fmt: skip


def kept(root):
    with np.load(only(root) / "pictures.npz") as file:
        return dict(file)


def queried(root):
    with np.load(only(root) / "queries.npz") as file:
        return {name: file[name][file["round"] >= 0] for name in file.files}


def bought_images(root):
    """Return the images that queries bought, from a pool drawn again from the settings."""
    (run,) = read([only(root)]).runs
    return setup_of(run).pool.images_M[queried(root)["source"]].numpy()


def run_arrays(root, x, *overrides):
    """Run on made-up images."""
    y = np.arange(len(x)) % 4
    np.savez(root / "mine.npz", x_train=x, y_train=y, x_test=x[:20], y_test=y[:20])
    run_here(*QUICK, "data=npz", f"data.path={root / 'mine.npz'}", "noise=clean", "alg=random", "n_start=4", *overrides,
             root=root / "out")  # fmt: skip


def test_images_are_those_that_were_bought_first_in_the_order_of_buying(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (60, 6, 5), dtype=np.uint8)
    run_arrays(tmp_path, x, "n_query=30", "n_end=34")
    found, rows = kept(tmp_path / "out"), queried(tmp_path / "out")
    assert found["images"].dtype == np.uint8
    assert found["images"][found["image"]].tolist() == bought_images(tmp_path / "out")[:20, 0].tolist()
    assert found["labels"].tolist() == rows["labels"][:20].tolist()
    assert found["is_noisy"].tolist() == rows["is_noisy"][:20].tolist()


def test_small_queries_are_kept_until_there_are_enough(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (60, 6, 5), dtype=np.uint8)
    run_arrays(tmp_path, x, "n_query=7", "n_end=39")
    assert len(kept(tmp_path / "out")["image"]) == 20
    assert kept(tmp_path / "out")["labels"].tolist() == queried(tmp_path / "out")["labels"][:20].tolist()


def test_floats_are_scaled_over_all_images_and_large_ones_made_smaller(tmp_path):
    x = np.linspace(-3, 5, 40 * 3 * 100 * 50, dtype=np.float32).reshape(40, 3, 100, 50)
    run_arrays(tmp_path, x, "n_query=5", "n_end=9")
    found, bought = kept(tmp_path / "out"), bought_images(tmp_path / "out")
    assert found["images"].shape == (5, 64, 32, 3)
    expected = 255 * (bought.mean((1, 2, 3)) + 3) / 8
    assert found["images"][found["image"]].mean((1, 2, 3)) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("shape", [(4,), (2, 6, 6), (4, 6, 6)])
def test_what_is_neither_an_image_nor_in_the_plane_leaves_none(tmp_path, shape):
    run_arrays(tmp_path, np.random.default_rng(0).random((40, *shape), np.float32), "n_query=5", "n_end=9")
    assert not (only(tmp_path / "out") / "pictures.npz").exists()


def test_points_are_all_that_was_bought(tmp_path):
    x = np.random.default_rng(0).random((60, 2), np.float32)
    run_arrays(tmp_path, x, "n_query=15", "n_end=49")
    found, rows = kept(tmp_path / "out"), queried(tmp_path / "out")
    assert found["points"].tolist() == bought_images(tmp_path / "out").tolist()
    assert found["labels"].tolist() == rows["labels"].tolist()
    assert found["test"].tolist() == x[:20].tolist()
    assert found["test_labels"].tolist() == (np.arange(20) % 4).tolist()
    assert "classes" not in found
    run_arrays(tmp_path, np.ones_like(x), "n_query=15", "n_end=49", "keep_network=true", "name=alike")
    with np.load(next((tmp_path / "out" / "alike").glob("*/pictures.npz"))) as file:
        assert len(np.unique(file["classes"])) >= 1  # of points that are all alike there is a grid, too


@pytest.mark.parametrize(("line", "each"), [([*TOY, "n_query=12"], 2), (MOONS, 1)], ids=["images", "points"])
def test_a_run_that_was_cut_short_anywhere_leaves_the_same_bytes(tmp_path, line, each):
    run_here(*line, root=tmp_path / "whole")
    whole = only(tmp_path / "whole")
    expected = (whole / "pictures.npz").read_bytes()
    rounds = (whole / "rounds.jsonl").read_text().splitlines(True)
    assert len(rounds) >= 4
    for n in range(1, len(rounds) + 1):
        left = (None, b"", b"torn", expected)
        for what in [left[(n + k) % 4] for k in range(each)]:
            root = tmp_path / f"{n}"
            shutil.rmtree(root, ignore_errors=True)
            shutil.copytree(tmp_path / "whole", root)
            cut = only(root)
            (cut / "summary.json").unlink()
            (cut / "rounds.jsonl").write_text("".join(rounds[:n]))
            (cut / "pictures.npz").unlink()
            if what is not None:
                (cut / "pictures.npz").write_bytes(what)
            run_here(*line, root=root)
            assert (cut / "pictures.npz").read_bytes() == expected, (n, what)


def test_force_replaces_them(tmp_path):
    run_here(*MOONS, root=tmp_path)
    assert "classes" in kept(tmp_path)
    run_here(*MOONS, "keep_network=false", "force=true", root=tmp_path)
    assert "classes" not in kept(tmp_path)
    run_here(*MOONS, "n_end=20", "force=true", "name=none", root=tmp_path / "none")  # buys nothing
    assert not (only(tmp_path / "none") / "pictures.npz").exists()


@pytest.mark.parametrize("first", ["n_end=60", "n_end=80"])
def test_a_larger_budget_ends_with_the_same_bytes_and_a_smaller_one_changes_none(tmp_path, first):
    own = [o for o in MOONS if not o.startswith("n_end=")]
    run_here(*own, "n_end=100", root=tmp_path / "whole")
    for end in (first, "n_end=100", first):
        run_here(*own, end, root=tmp_path / "grown")
    whole, grown = ((only(tmp_path / name) / "pictures.npz").read_bytes() for name in ("whole", "grown"))
    assert whole == grown
