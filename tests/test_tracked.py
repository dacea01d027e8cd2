"""What trackers show beside the record: sample images, plain settings, the run of random choice."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from hydra.core.hydra_config import HydraConfig

from hetal.app.launch import resolved
from hetal.app.names import noise_name
from hetal.record.schema import Purchase
from hetal.record.writer import Record
from hetal.watch.wandb_media import (
    CLEAN,
    FRAME,
    NOISY,
    are_pictures,
    history,
    labels_to_reach_random,
    sample,
    settings,
)
from tests.command_line import TOY, composed, run_here


def record(*overrides, root):
    """Return the record of a run, finished or not."""
    config = resolved(composed(*TOY, *overrides, root=root))
    chosen = dict(HydraConfig.get().runtime.choices)
    chosen["noise"] = noise_name(config, chosen["noise"])
    return Record(config, {group: str(option) for group, option in chosen.items() if group in config})


def purchase(source):
    n = len(source)
    return Purchase(torch.arange(n), torch.arange(n), torch.tensor(source), torch.arange(n) % 2 == 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_samples_are_framed_by_what_they_are(channels):
    images = torch.arange(4 * channels * 64).reshape(4, channels, 8, 8).to(torch.uint8)
    found = sample(purchase([3, 3, 0, 1, 2]), images, 3)
    assert [words for _, words in found] == ["label 0, clean", "label 2, clean", "label 4, clean"]
    for (picture, _), image in zip(found, (3, 0, 2), strict=True):
        pixels = np.asarray(picture)
        assert pixels.shape == (72, 72, 3)
        assert tuple(pixels[0, 0]) == CLEAN
        inner = torch.from_numpy(pixels[FRAME:-FRAME:8, FRAME:-FRAME:8].copy()).permute(2, 0, 1)
        assert torch.equal(inner, images[image].expand(3, 8, 8))
    ((picture, words),) = sample(purchase([0, 1]), images, 2)[1:]
    assert (words, picture.getpixel((71, 71))) == ("label 1, noisy", NOISY)
    refused = dataclasses.replace(purchase([0, 1]), labels=torch.tensor([-1, -1]))
    assert [words for _, words in sample(refused, images, 2)] == ["rejected", "rejected"]


def test_float_images_are_shown_over_their_whole_range():
    images = torch.tensor([-2.0, 0.0, 2.0]).reshape(3, 1, 1, 1).expand(3, 1, 80, 80)
    greys = [picture.getpixel((40, 40)) for picture, _ in sample(purchase([0, 1, 2]), images, 12)]
    assert greys == [(0, 0, 0), (127, 127, 127), (255, 255, 255)]


def test_what_is_no_picture_is_not_shown():
    shapes = {(5, 2): False, (5, 2, 8, 8): False, (5, 1, 8, 8): True, (5, 3, 8, 8): True}
    assert {shape: are_pictures(torch.zeros(shape)) for shape in shapes} == shapes


def test_settings_are_flat_and_say_no_place(tmp_path):
    found = settings(
        record("data=npz", "data.path=/place/mine.npz", "mult=2.0", "noise=diverse", root=tmp_path)
    )
    assert all(isinstance(value, (str, int, float, list)) for value in found.values())
    assert not any(part in json.dumps(found) for part in ("/place", str(tmp_path), "_target_"))
    assert (found["mult"], found["data"], found["optimizer/lr"]) == (2, "npz", 1e-4)
    assert isinstance(found["mult"], int)
    clean = settings(record("noise=clean", "finetune=pseudo_label", root=tmp_path))
    assert clean["finetune/confidence"] == 0.8
    assert "mult" not in clean  # since its noise has no factor


def test_what_the_pool_makes_say_nothing_new_is_not_shown(tmp_path):
    run_here(*TOY, "noise=mixed", "noise.of=[symmetric,blank]", "n_end=60", root=tmp_path)
    mine = record("noise=mixed", "noise.of=[symmetric,blank]", "n_end=60", root=tmp_path)
    row = dataclasses.replace(mine.rounds[0], n_rejected=3)
    shown = history(row, mine.purchases, 0.2, mine.pool)
    assert not {"right_share", "n_rejected"} & shown.keys()
    counts = {key: n for key, n in shown.items() if key.startswith("bought_per_kind")}
    assert counts == {f"bought_per_kind/{kind}": n for kind, n in row.bought_per_kind.items()}
    assert (len(counts), sum(counts.values())) == (3, 20)
    others = {"right": 700, "rejected": 1, "kinds": {"clean": 600, "symmetric": 100, "blank": 0}}
    shown = history(row, mine.purchases, 0.2, others)
    assert (shown["right_share"], shown["n_rejected"]) == (row.right_share, 3)
    assert not any(key.startswith("bought_per_kind") for key in shown)
    assert "right_share" in history(row, mine.purchases, 0.2)  # of a pool that is not known
    of_noise = {"clean_share", "clean_share_so_far", "base_rate"}
    assert of_noise < shown.keys()
    assert not of_noise & history(row, mine.purchases, 1.0).keys()
    found = settings(mine)
    assert (found["noise"], found["noise/parts/symmetric/rate"]) == ("symmetric 0.4 + blank x4", 0.4)
    assert "mult" not in found


def test_random_choice_is_that_of_the_same_settings(tmp_path):
    mine = ["alg=lhd_published", "seed=1"]
    run_here(*TOY, *mine, root=tmp_path)
    done = record(*mine, root=tmp_path)
    assert labels_to_reach_random(done) is None
    for other in ("seed=0", "seed=1 optimizer.lr=1e-3", "seed=1 noise=diverse", "seed=1 name=elsewhere"):
        run_here(*TOY, "alg=random", *other.split(), root=tmp_path)
    assert labels_to_reach_random(done) is None
    run_here(*TOY, "alg=random", "seed=1", root=tmp_path)
    random = record("alg=random", "seed=1", root=tmp_path)
    target = random.rounds[-1].accuracy
    done.rounds = [dataclasses.replace(row, accuracy=target - 0.01) for row in done.rounds]
    assert labels_to_reach_random(done) is None
    done.rounds[1] = dataclasses.replace(done.rounds[1], accuracy=target)
    assert labels_to_reach_random(done) == 60
    assert labels_to_reach_random(random) is not None
    (tmp_path / "default" / random.dir.name / "rounds.jsonl").write_text("damaged")
    assert labels_to_reach_random(done) is None
