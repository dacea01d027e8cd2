"""The command lines people type."""

import json
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from hetal.app.command import arranged
from hetal.errors import BadInput
from hetal.models.mlp import MLP
from hetal.rng import stream
from tests import tiny_data
from tests.command_line import REPOSITORY, TOY, command, only, options, records, run_here, start

QUICK = ["device=cpu", "tracker=none", "train.max_epochs=2"]


def test_a_run_says_and_leaves_what_it_should(tmp_path):
    done = command(*TOY, f"root={tmp_path}", fresh=True)
    assert done.returncode == 0, done.stderr
    folder = only(tmp_path)
    assert {path.name for path in folder.iterdir()} == {
        ".hydra", ".lock", "curve.png", "pictures.npz", "provenance.json", "queries.npz", "rounds.jsonl",
        "summary.json",
    }  # fmt: skip
    for said in ("round 0 (1 of 3)", "labels 80", "distinct", str(folder), "curve.png", "of the pool"):
        assert said in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr == ""
    summary = json.loads((folder / "summary.json").read_text())
    rounds = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
    assert summary["final_accuracy"] == rounds[-1]["accuracy"]
    assert rounds[-1]["clean_share"] is None
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    with np.load(folder / "queries.npz") as queries:
        assert np.bincount(queries["round"] + 1).tolist() == [40, 20, 20]
        bought = queries["round"] == 0
        assert rounds[0]["clean_share"] == pytest.approx(1 - queries["is_noisy"][bought].mean())
        assert rounds[0]["bought_per_class"] == np.bincount(queries["labels"][bought], minlength=10).tolist()
        assert len(set(queries["ids"].tolist())) == 80


def test_a_finished_run_says_so_and_force_runs_it_again(tmp_path, capsys):
    run_here(*TOY, root=tmp_path)
    before = records(tmp_path)
    capsys.readouterr()
    again = run_here(*TOY, root=tmp_path)
    assert again == json.loads((only(tmp_path) / "summary.json").read_text())["area_under_curve"]
    assert "finished already; force=true" in capsys.readouterr().out
    run_here(*TOY, "force=true", root=tmp_path)
    assert "round 2 (3 of 3)" in capsys.readouterr().out
    assert records(tmp_path) == before


def test_a_finished_run_says_that_it_kept_no_network_and_one_that_is_kept_is_whole(tmp_path, capsys):
    for how in ([], ["keep_network=true"], ["keep_network=true", "force=true"]):
        assert not list(tmp_path.rglob("network.pt"))
        run_here(*TOY, *how, root=tmp_path)
        assert ("note: it kept no network" in capsys.readouterr().out) == (how == ["keep_network=true"])
    weights = torch.load(only(tmp_path) / "network.pt", weights_only=True)
    MLP((1, 8, 8), 10, [256], 0).load_state_dict(weights)


def test_killed_and_relaunched_gives_the_same_bits(tmp_path):
    slow = [*TOY, "train.max_epochs=60"]
    command(*slow, f"root={tmp_path / 'whole'}")
    process = start(*slow, f"root={tmp_path / 'cut'}")
    while not list(tmp_path.glob("cut/*/*/rounds.jsonl")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list(tmp_path.glob("cut/*/*/summary.json"))
    done = command(*slow, f"root={tmp_path / 'cut'}")
    assert "rounds are on record" in done.stdout
    assert records(tmp_path / "cut") == records(tmp_path / "whole")
    whole, cut = (only(tmp_path / name) for name in ("whole", "cut"))
    assert (whole / "queries.npz").read_bytes() == (cut / "queries.npz").read_bytes()


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ("cifar10", "alg=lhd model=resnet n_query=1000 data=cifar10 mult=4 noise=class"),
        ("svhn", "alg=badge model=mlp n_query=1000 data=svhn mult=4 noise=diverse"),
        ("cifar10", "+experiment=paper"),
    ],
)
def test_the_papers_commands_run_to_the_end_on_tiny_files(data, line, tmp_path):
    name = {"cifar10": "CIFAR10", "svhn": "SVHN"}[data]
    getattr(tiny_data, f"write_{data}")(tmp_path / "data", 80)
    verified = [f"data.{part}._target_=tests.tiny_data.{name}" for part in ("train", "test")]
    tuned = ["finetune.min_rows=1", "finetune.confidence=0"] if "paper" in line else []
    # 80 clean images and, with mult=4, 320 more rows: the one query of 1,000 gets what the budget has left.
    run_here(
        *line.split(), *verified, "mult=4", "n_start=100", "n_end=380", *QUICK, *tuned,
        f"data.root={tmp_path / 'data'}", root=tmp_path / "out",
    )  # fmt: skip
    (rounds,) = records(tmp_path / "out").values()
    assert [r["n_bought"] for r in rounds] == [280, 0]
    assert [r["n_pseudo"] for r in rounds] == ([300, 20] if tuned else [None, None])


@pytest.mark.parametrize(
    "data", ["cifar10", "cifar100", "svhn", "mnist", "fashion_mnist", "kmnist", "emnist"]
)
def test_absent_data_says_what_to_put_where(data, tmp_path):
    root = tmp_path / "none"
    with pytest.raises(BadInput, match=r"data\.download=true") as caught:
        run_here(f"data={data}", f"data.root={root}", "data.download=false", root=tmp_path / "out")
    assert str(root) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_four_moons(tmp_path):
    run_here("+experiment=four_moons", *QUICK, "n_end=220", "data.n_per_pair=200", root=tmp_path)
    assert "four_moons" in str(only(tmp_path))
    (rounds,) = records(tmp_path).values()
    assert [r["n_labelled"] for r in rounds] == [20, 220]


def test_a_sweep_runs_every_job_and_pairs_strategies(tmp_path):
    done = command("-m", "alg=random,lhd", "seed=0,1", *TOY, f"root={tmp_path}")
    assert done.returncode == 0, done.stderr
    found = records(tmp_path)
    assert len(found) == 4
    for seed in ("s0", "s1"):
        first = [rounds[0] for name, rounds in found.items() if f"-{seed}-" in name]
        tested = [{k: r[k] for k in ("accuracy", "nll", "train_accuracy", "steps")} for r in first]
        assert tested[0] == tested[1]
    assert len({rounds[0]["nll"] for rounds in found.values()}) == 2


def test_a_failing_job_does_not_stop_a_sweep(tmp_path):
    done = command("-m", "model=vgg,mlp", *TOY, f"root={tmp_path}")
    assert done.returncode == 1
    assert "model=vgg takes images" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(records(tmp_path)) == 1


def test_a_users_mistake_is_one_line_and_no_traceback(tmp_path):
    done = command(*TOY, "n_start=0", f"root={tmp_path}")
    assert done.returncode == 1
    assert done.stderr == "error: n_start=0: must be at least 1\n"
    assert list(tmp_path.iterdir()) == []


MISTYPED = {
    "n_quary=5": "n_quary: no such setting; did you mean n_query?",
    "+n_quary=5": "n_quary: no such setting; did you mean n_query?",
    "++n_quary=5": "n_quary: no such setting; did you mean n_query?",
    "trian.lr=1": "trian.lr: no such setting; did you mean optimizer.lr?",
    "optimizer.lrr=1e-3": "optimizer.lrr: no such setting; did you mean optimizer.lr or optimizer.eps?",
    "+optimizer.lrr=1e-3": "optimizer.lrr: no such setting; did you mean optimizer.lr or optimizer.eps?",
    "lr=1": "lr: no such setting; did you mean optimizer.lr?",
    "trian=fast": "trian: no such setting; did you mean train?",
    "train.stop.gain=3": "train.stop.gain: no such setting; train.stop takes accuracy, ema_accuracy",
    "alg.nope=1": "alg.nope: no such setting; alg takes none",
    "+alg.nope=1": "alg.nope: no such setting; hetal.algs.BADGE takes none",
    "+train.device=cpu": "train.device: no such setting; ",
    "optimizer.lr.x=3": "optimizer.lr.x: no such setting; optimizer.lr takes none",
    "+mult.fraction=2": "mult.fraction: no such setting; there is mult.factor",
    "mult=x3": "mult=x3: no such choice; there are x1, x1.5, x2, x4, x8, and any number from 0",
    "mult=": "mult=: no such choice; there are x1, x1.5, x2, x4, x8, and any number from 0",
    "mult=null": "mult=null: must be one of the choices of mult, or a number",
    "mult=true": "mult=true: must be one of the choices of mult, or a number",
    "mult=range(": "mult=range(: cannot be read (it ends before it is complete)",
    "~data.n_train": "~data.n_train: is null, which cannot be deleted",
    "~algg": "algg: no such setting; did you mean alg?",
    "~alg": "alg: must be one of its choices, alg=NAME",
    "alg=badgee": "alg=badgee: no such choice; did you mean badge or bald? there are alfamix, badge,",
    "alg=": "alg=: no such choice; there are alfamix, badge,",
    "+experiment=papper": "experiment=papper: no such choice; did you mean paper? there are ablation, ema,",
    "hydra/launcher=paralel": "hydra/launcher=paralel: no such choice; did you mean parallel? there are basic,",
    "hydra.nope=1": "hydra.nope: no such setting; did you mean hydra.mode?",
    "alg=null": "alg=null: must be one of the choices of alg",
    "alg=[random,badge]": "alg: must be one of its choices, alg=NAME",
    "+seed=3": "+seed: there is a setting of that name; set it without +",
    "+alg=random": "alg: is chosen twice; choose it once, without +",
    "seed=range(": "seed=range(: cannot be read (it ends before it is complete); it must be KEY=VALUE",
    "seed=[": "seed=[: cannot be read (it ends before it is complete); it must be KEY=VALUE",
    "name=a b=c": "name=a b=c: cannot be read (",
    "=5": "=5: must be KEY=VALUE",
    "a b": "a b: must be KEY=VALUE",
    "root=${": "root=${: cannot be read (",
    "name=${nope}": "name: Interpolation key 'nope' not found",
    "train.augment=wek": "train.augment=wek: no such choice; did you mean weak? there are none, published,",
    "train.augment=5": "train.augment=5: must be one of the choices of train.augment",
    "train.loss=[gce]": "train.loss=[gce]: must be one of the choices of train.loss; --help lists them",
    "alg={nope:1}": "alg.nope: no such setting; alg takes none",
    "train={loss:{nope:1}}": "train.loss.nope: no such setting; train.loss takes label_smoothing",
    "finetune.augment=weak": "finetune.augment: the finetune that is chosen has no augment; choose another",
    "+hydra.sweeper.params.seed=1": "+hydra.sweeper.params.seed=1: cannot be set (",
    "hydra.run.dir=null": "hydra.run.dir=null: field 'hydra.run.dir' is not Optional",
}


def answer_of(*arguments: str) -> str:
    done = command(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("error: ").strip()


@pytest.mark.parametrize("override", MISTYPED)
def test_what_is_mistyped_is_answered_with_the_nearest_there_is(override, tmp_path):
    assert answer_of(override, "dry_run=true", *under(tmp_path)).startswith(MISTYPED[override])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "override", ["seed=1,2", "seed=range(3)", "alg=glob(*)", "train.augment=weak,strong"]
)
def test_several_values_are_for_sweeps(override, tmp_path):
    said = answer_of(override, *under(tmp_path))
    assert said == f"{override}: several values need -m, which runs each; a list is written KEY=[A,B]"


@pytest.mark.parametrize(
    "override", [o for o in MISTYPED if o[0] not in "+~" and "name" not in o and "[r" not in o]
)
def test_a_sweep_that_cannot_be_composed_is_answered_alike(override, tmp_path):
    said = answer_of("-m", override, "seed=3,4", "dry_run=true", *under(tmp_path))
    assert said.startswith(MISTYPED[override])
    assert list(tmp_path.iterdir()) == []


def test_the_settings_of_a_choice_inside_a_group_are_known(tmp_path):
    said = answer_of("train.augment=weak", "train.augment.paddin=0.2", *under(tmp_path))
    assert said.startswith("train.augment.paddin: no such setting; did you mean train.augment.padding")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["alg=once", "alg.of=badgee"],
            "alg.of=badgee: no such choice; did you mean badge or bald? there are ",
        ),
        (
            ["alg=badge", "alg.of=lhd"],
            "alg.of: the strategy that is chosen wraps no other, so that there is nothing ",
        ),
        (["alg=once", "+alg.of=lhdd"], "alg.of=lhdd: no such choice; did you mean lhd? there are "),
        (
            ["alg=once", "alg.of=lhd_published"],
            "alg.of=lhd_published: sets more than a strategy, and cannot be ",
        ),
    ],
)
def test_what_is_wrapped_is_chosen_from_what_there_is(words, said, tmp_path):
    assert answer_of(*words, "dry_run=true", *under(tmp_path)).startswith(said)
    assert list(tmp_path.iterdir()) == []


def under(path: Path) -> list[str]:
    return [f"root={path}"]


def test_the_first_job_that_cannot_be_composed_is_named(tmp_path):
    said = answer_of("-m", "alg=badge,badgee", "seed=0", *under(tmp_path))
    assert "(in job alg=badgee seed=0" in said
    said = answer_of("-m", "n_quary=1,2", "seed=3,4", *under(tmp_path))
    assert said.startswith("n_quary: no such setting; did you mean n_query? (in job n_quary=1 seed=3 ")
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_no_job_of_a_sweep_has_fails_every_job_by_name(tmp_path):
    done = command("-m", "+n_quary=1,2", "dry_run=true", *under(tmp_path))
    assert done.returncode == 1
    assert done.stderr.count("n_quary: no such setting; did you mean n_query?") == 2


def test_choices_beside_the_configs_are_offered_too(tmp_path):
    (tmp_path / "alg").mkdir()
    (tmp_path / "alg" / "longest.yaml").write_text("_target_: mine.Longest\n")
    assert "did you mean longest?" in answer_of("--config-dir", str(tmp_path), "alg=longst")


@pytest.mark.parametrize(
    ("words", "arranged_words"),
    [
        ("-m alg=a --config-dir x seed=1", "-m --config-dir x alg=a seed=1"),
        ("alg=a -m seed=1,2 --config-dir=x", "-m --config-dir=x alg=a seed=1,2"),
        ("--config-dir x -m alg=a mult=4", "--config-dir x -m alg=a mult.factor=4"),
        ("mult=3 --cfg job ~seed --resolve", "--cfg job --resolve mult.factor=3 ~seed"),
        ("-sc install=bash", "-sc install=bash"),
        ("", ""),
    ],
)
def test_options_may_stand_anywhere(words, arranged_words):
    assert arranged(words.split()) == arranged_words.split()


@pytest.mark.parametrize(
    "line", ["-m alg=longest --config-dir {}", "alg=longest -m seed=0,1 --config-dir={}"]
)
def test_a_folder_of_configs_may_be_named_anywhere(line, tmp_path):
    (tmp_path / "alg").mkdir()
    (tmp_path / "alg" / "longest.yaml").write_text("_target_: hetal.algs.Random\n")
    words = line.format(tmp_path).split()
    done = command(*words, "dry_run=true", *TOY, f"root={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    assert "longest-digits" in done.stdout
    assert "did you mean longest?" in answer_of(*[word.replace("=longest", "=longst") for word in words])


def test_an_option_that_does_not_exist_is_refused(tmp_path):
    done = command("--bogus", *under(tmp_path))
    assert done.returncode == 2
    assert "unrecognized arguments: --bogus" in done.stderr


def test_the_version_is_told():
    assert re.fullmatch(r"hetal \d+\.\d+\.\d+, Hydra 1\.3\.\d+\n", command("--version").stdout)


def test_help_lists_every_group_and_its_options():
    said = command("--help").stdout
    for group in (
        "alg",
        "data",
        "experiment",
        "finetune",
        "model",
        "mult",
        "noise",
        "start",
        "tracker",
        "train",
    ):
        assert f"\n{group}: {', '.join(options(group))}\n" in said
    assert "mult=2.5" in said
    assert "  python launch.py -m alg=badge,lhd" in said


def test_hydras_own_traceback_is_to_be_had(tmp_path):
    done = command("n_quary=5", *under(tmp_path), env={"HYDRA_FULL_ERROR": "1"})
    assert done.returncode == 1
    assert "ConfigCompositionException: Could not override 'n_quary'" in done.stderr
    assert "Traceback" in done.stderr


def test_a_fault_in_a_users_loader_is_one_line_with_its_place(tmp_path):
    (tmp_path / "faulty.py").write_text("def load(rng):\n    raise KeyError('column')\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "faulty.yaml").write_text("_target_: faulty.load\n_partial_: true\n")
    done = command(
        "--config-dir", tmp_path, *TOY[:-1], "data=faulty", f"root={tmp_path / 'out'}",
        env={"PYTHONPATH": f"{REPOSITORY}:{tmp_path}"},
    )  # fmt: skip
    assert done.returncode == 1
    said = f"error: data: faulty.load fails: KeyError: 'column' ({tmp_path / 'faulty.py'}:2)\n"
    assert done.stderr == said


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    with pytest.raises(BadInput, match=r"round 0, epoch 2: the loss is nan at learning rate 1e\+30"):
        run_here(*TOY, "optimizer.lr=1e30", root=tmp_path)
    assert not (only(tmp_path) / "summary.json").exists()


@pytest.mark.parametrize("root", ["/dev/null/out", "/proc/out"])
def test_a_folder_that_cannot_be_written(root):
    with pytest.raises(BadInput, match=f"root={root}: cannot write"):
        run_here(*TOY, root=root)


def test_a_pool_nearly_all_blank_is_bought_to_the_end(tmp_path):
    for alg in ("badge", "coreset", "lhd", "entropy"):
        run_here(*TOY, "data.n_train=10", "noise=blank", "mult=50", f"alg={alg}", root=tmp_path)
    for rounds in records(tmp_path).values():
        assert rounds[-1]["n_labelled"] == 80
        assert rounds[1]["n_distinct"] < rounds[1]["n_bought"]


def test_a_class_absent_from_the_first_labels_is_allowed_and_said(tmp_path, capsys):
    run_here(*TOY, "n_start=2", "noise=clean", root=tmp_path)
    (rounds,) = records(tmp_path).values()
    assert rounds[-1]["n_labelled"] == 80
    assert "no label of class" in capsys.readouterr().out


def test_the_last_query_takes_what_is_left(tmp_path):
    run_here(*TOY, "data.n_train=50", "noise=clean", "n_end=50", "n_query=8", "n_start=30", root=tmp_path)
    (rounds,) = records(tmp_path).values()
    assert [r["n_bought"] for r in rounds] == [8, 8, 4, 0]


def test_a_new_score_is_one_function_and_one_yaml(tmp_path, monkeypatch):
    (tmp_path / "conf" / "alg").mkdir(parents=True)
    (tmp_path / "conf" / "alg" / "first_class.yaml").write_text(
        "_target_: hetal.algs.Score\nscore:\n  _target_: first_class.score\n  _partial_: true\n"
    )
    (tmp_path / "first_class.py").write_text("def score(probs_MC):\n    return probs_MC[:, 0]\n")
    monkeypatch.syspath_prepend(tmp_path)
    run_here("alg=first_class", *TOY, f"hydra.searchpath=[file://{tmp_path / 'conf'}]", root=tmp_path / "out")
    assert only(tmp_path / "out").name.startswith("first_class-")
    (session,) = json.loads((only(tmp_path / "out") / "provenance.json").read_text())["sessions"]
    assert session["config_dirs"] == [str(tmp_path / "conf")]


def test_permuting_hidden_labels_leaves_the_first_query_unchanged(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (300, 6, 6), dtype=np.uint8)
    y = np.arange(300) % 5
    start = first_ids(tmp_path / "a", x, y)[0]
    order = torch.randperm(300, generator=stream(0, "order")).numpy()  # of the pool's rows in the file
    hidden = np.setdiff1d(np.arange(300), order[start])
    other = y.copy()
    other[hidden] = np.random.default_rng(1).permutation(y[hidden])
    assert (other != y).sum() > 100
    for alg in ("badge", "lhd", "coreset", "margin", "random", "fisher", "kmeans"):
        one, two = (first_ids(tmp_path / f"{alg}{i}", x, labels, alg) for i, labels in enumerate((y, other)))
        assert one[1].tolist() == two[1].tolist()


def first_ids(folder: Path, x, y, alg="badge"):
    folder.mkdir()
    np.savez(folder / "data.npz", x_train=x, y_train=y, x_test=x[:50], y_test=y[:50])
    run_here(
        *QUICK, "data=npz", f"data.path={folder / 'data.npz'}", "noise=clean", "n_start=40", "n_query=20", "n_end=60",
        f"alg={alg}", root=folder / "out",
    )  # fmt: skip
    with np.load(only(folder / "out") / "queries.npz") as queries:
        return queries["ids"][queries["round"] == -1], queries["ids"][queries["round"] == 0]


def test_two_processes_on_one_run(tmp_path):
    both = [start(*TOY, "train.max_epochs=300", f"root={tmp_path}") for _ in range(2)]
    said = [process.communicate() for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes == [0, 1], said
    assert any("is being written by" in err for _, err in said)  # who it is, is not said at once
    assert len(records(tmp_path)) == 1
