"""`python -m hetal.noise`: what it counts, prints and draws of a pool, and its answers to mistakes."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
import torch
from PIL import Image
from rich.console import Console

from hetal.noise import NoisyPool, corrupt, in_place
from hetal.noise.__main__ import main
from hetal.noise.pool import shuffled
from hetal.noise.show import Corrupted, count, save_picture, show
from hetal.noise.show.samples import caption, sample
from hetal.oracle import Oracle
from hetal.rng import stream
from hetal.task import Examples, Task
from tests.command_line import CONF

BLUE, ORANGE = (0, 114, 178), (213, 94, 0)


def made(noise, n: int = 12, n_classes: int = 3, shape=(1, 4, 4), names=(), dtype=torch.uint8) -> Corrupted:
    images = torch.randint(1, 256, (n, *shape), generator=stream(0, "images")).to(dtype)
    examples = Examples(images, torch.arange(n) % n_classes)
    task = Task(examples, examples, n_classes, class_names=names)
    pool = corrupt(noise, examples, n_classes, seed=0)
    pool = shuffled(pool, stream(0, "order"))
    return Corrupted("title", task.without(pool.outside) if pool.outside else task, pool, Oracle(pool))


def known(train: Examples, n_classes: int, rng: torch.Generator) -> NoisyPool:
    """Classes 0 1 2 0 1 2 ...: two rows of 0 sell 1, one of 1 sells none; and two blank rows sell 2."""
    labels = train.labels.clone()
    labels[0], labels[3], labels[1] = 1, 1, -1
    pool = in_place(train, labels, torch.arange(len(train)) < 2, region=torch.arange(len(train)) // 6)
    return replace(
        pool,
        images_M=torch.cat([train.images, torch.zeros_like(train.images[:1])]),
        source_N=torch.cat([pool.source_N, torch.full((2,), len(train))]),
        labels_N=torch.cat([labels, torch.tensor([2, 2])]),
        is_noisy_N=(torch.tensor([0, 1, 3, *range(12, 14)])[:, None] == torch.arange(14)).any(0),
        true_N=torch.cat([train.labels, torch.tensor([-1, -1])]),
        region_N=torch.cat([torch.arange(len(train)) // 6, torch.tensor([-1, -1])]),
    )


def printed(one: Corrupted) -> str:
    console = Console(file=io.StringIO(), width=100)
    show(console, one, count(one.pool, one.oracle, one.task.n_classes))
    return console.file.getvalue()


def test_counts_of_a_known_pool():
    one = made(known)
    counts = count(one.pool, one.oracle, 3)
    clean, noisy = counts.kinds
    assert (clean.name, clean.rows, clean.right, clean.rejected) == ("clean", 9, 9, 0)
    assert (noisy.rows, noisy.images, noisy.right, noisy.rejected) == (5, 4, 0, 1)
    assert (counts.total.rows, counts.total.images, counts.total.right) == (14, 13, 9)
    assert counts.rows.tolist() == [4, 4, 4, 2]
    assert counts.noisy.tolist() == [2, 1, 0, 2]
    assert counts.matrix().tolist() == [[2, 2, 0, 0], [0, 3, 0, 1], [0, 0, 4, 0], [0, 0, 2, 0]]
    assert counts.wrong(5) == [[0, 1, 2], [1, 3, 1]]
    assert counts.region_rows.tolist() == [6, 6]
    assert counts.region_noisy.tolist() == [3, 0]


def test_tables_of_a_known_pool():
    lines = [" ".join(line.split()) for line in printed(made(known)).splitlines()]
    assert "test_noise_command 5 36% 4 0% 1" in lines
    assert "right rows noisy 0 1 2 rejected" in lines
    assert lines[lines.index("right rows noisy 0 1 2 rejected") :][1:5] == [
        "0 4 50% 50 50",
        "1 4 25% 75 25",
        "2 4 0% 100",
        "none 2 100% 100",
    ]
    assert lines[-2:] == ["0 6 50%", "1 6 0%"]


def pairs(train: Examples, n_classes: int, rng: torch.Generator) -> NoisyPool:
    is_noisy = torch.arange(len(train)) < 60
    return in_place(train, torch.where(is_noisy, (train.labels + 1) % n_classes, train.labels), is_noisy)


def test_of_many_classes_the_noisiest_and_the_most_frequent_are_listed():
    said = printed(made(pairs, n=100, n_classes=40))
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert "0 3 67%" in lines
    assert any(line.startswith("and 28 more of 2 to 3 rows") for line in lines)
    assert "0 1 2 67%" in lines


def test_a_row_is_captioned_by_what_it_sells_and_what_is_right():
    one = made(known, names=("zero", "one", "a very long name"))
    seen = {caption(one, row) for row in range(14)}
    assert {("one", "(zero)"), ("reject", ""), ("zero", ""), ("a ver…name", "(–)"), ("one", "")} <= seen


def test_samples_are_scaled_by_what_the_pool_holds():
    vectors = made(pairs, shape=(3,), dtype=torch.float32)
    assert sample(vectors, 12).min(0).tolist() == [0, 0, 0]
    assert sample(vectors, 12).max(0).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "one",
    [
        made(known),
        made(pairs, n=80, names=("airplane", "automobile", "truck"), shape=(3, 5, 4)),
        made(pairs, n=80, n_classes=40, shape=(2,), dtype=torch.float32),
        made(pairs, n=80, shape=(30,), dtype=torch.float16),
    ],
    ids=["regions and rejected", "named and coloured", "many classes in the plane", "vectors"],
)
def test_a_picture_of_any_pool_has_one_size_and_frames_noise(one, tmp_path):
    path = tmp_path / "pool.png"
    save_picture(one, count(one.pool, one.oracle, one.task.n_classes), "noise=known", path)
    picture = Image.open(path)
    assert picture.size == (1056, 462)
    colors = {color for _, color in picture.convert("RGB").getcolors(2**20)}
    assert ORANGE in colors
    assert BLUE in colors


def test_the_command_shows_the_pool_of_a_run(tmp_path, capsys):
    out = tmp_path / "mix.png"
    words = ["mixed", "noise.of=[symmetric,blank]", "noise.symmetric.rate=0.2", "mult=1", "data.n_train=200"]
    assert main([*words, "--out", str(out), "seed=1"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("noise symmetric 0.2 + blank x1, data digits, seed 1\n")
    lines = [line.split() for line in said.splitlines()]
    (clean,), (blank,) = ([line for line in lines if line[:1] == [kind]] for kind in ("clean", "blank"))
    assert clean[1] == blank[1]  # at mult 1, of those still clean
    assert blank[3] == "1"
    first = out.read_bytes()
    assert main([*words, "--out", str(out), "seed=1"]) == 0
    assert out.read_bytes() == first  # for the pictures in docs


OWN = """
defaults:
  - symmetric@parts.light
_target_: hetal.noise.mixed
_partial_: true
of: [light]
parts:
  light:
    rate: 0.5
"""


def test_the_command_takes_configs_of_ones_own(tmp_path, capsys):
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise" / "own.yaml").write_text(OWN)
    assert main(["own", "data.n_train=50", "--config-dir", str(tmp_path)]) == 0
    assert "noise symmetric 0.5, data digits, seed 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the first word must name a noise: "),
        (["noise.rate=0.2"], "noise.rate=0.2: the first word must name a noise: "),
        (["blnk"], "noise=blnk: no such choice; did you mean blank?"),
        (["symmetric", "noise.rat=1"], "noise.rat: no such setting; did you mean noise.rate?"),
        (["symmetric", "noise.rate=2"], "noise.rate=2: must be a number in 0..1"),
        (["symmetric", "noise.rate=0.2,0.4"], "noise.rate=0.2,0.4: several values, where one is taken"),
        (["blank", "--out", "pool.jpg"], "--out pool.jpg: must be a file whose name ends in .png"),
        (
            ["blank", "--out", "nowhere/pool.png"],
            "--out nowhere/pool.png: must be a file whose name ends in .png",
        ),
    ],
)
def test_a_mistake_is_answered_in_one_line(words, said, capsys):
    assert main(words) == 1
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith(f"error: {said}")
    assert errors.count("\n") == 1


def test_a_word_without_a_noise_lists_those_that_there_are(capsys):
    main([])
    names = sorted(path.stem for path in (CONF / "noise").glob("*.yaml"))
    assert capsys.readouterr().err.strip().endswith(", ".join(names))
