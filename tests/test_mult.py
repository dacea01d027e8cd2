"""The config group `mult`: its options, and the numbers that command lines and sweepers give in their place."""

import pytest
from omegaconf import OmegaConf

from hetal.errors import BadInput
from hetal.sweep.mult import as_options
from tests.command_line import CONF, TOY, command, composed, options, records


@pytest.mark.parametrize("option", options("mult"))
def test_an_option_is_named_by_its_factor(option):
    assert option == f"x{OmegaConf.load(CONF / 'mult' / f'{option}.yaml').factor:g}"


@pytest.mark.parametrize(
    ("typed", "taken"),
    [
        ("mult=4", "mult.factor=4"),
        ("mult=4.0", "mult.factor=4.0"),
        ("mult=2.5", "mult.factor=2.5"),
        ("mult=0", "mult.factor=0"),
        ("mult=-1", "mult.factor=-1"),
        ("mult=nan", "mult.factor=nan"),
        ("mult=1,2,8", "mult.factor=1,2,8"),
        ("mult=1, 2", "mult.factor=1, 2"),
        ("mult=1,x2", "mult.factor=1,2"),
        ("mult=choice(1,4)", "mult.factor=choice(1,4)"),
        ("mult=choice(x1.5,4)", "mult.factor=choice(1.5,4)"),
        ("mult=x1,2.5", "mult.factor=1,2.5"),
        ("mult=range(1,4)", "mult.factor=range(1,4)"),
        ("mult=shuffle(1,2)", "mult.factor=shuffle(1,2)"),
        ("mult=interval(0.5,8)", "mult.factor=interval(0.5,8)"),
        ("mult=tag(log,interval(0.5,8))", "mult.factor=tag(log,interval(0.5,8))"),
    ],
)
def test_numbers_are_factors(typed, taken):
    assert as_options(["alg=lhd", typed, "seed=4"]) == ["alg=lhd", taken, "seed=4"]


@pytest.mark.parametrize(
    "word",
    [
        "mult=x4", "mult=x1,x2", "mult=mine", "mult=glob(*)", "mult=", "mult=null", "mult=true", "mult='4'",
        "mult=[1,2]", "mult={factor:3}", "mult=range(", "mult.factor=4", "+mult=4", "~mult",
        "multiple=4",
    ],
)  # fmt: skip
def test_all_else_is_left_to_hydra(word):
    assert as_options([word]) == [word]


@pytest.mark.parametrize(
    ("typed", "taken"),
    [
        (["mult=2.5", "mult=4"], ["mult.factor=4"]),
        (["mult=2.5", "a=b", "mult=x4"], ["a=b", "mult=x4"]),
        (["mult.factor=3", "mult=1,4", "a=b"], ["mult.factor=1,4", "a=b"]),
        (["mult=x4", "mult.factor=3"], ["mult.factor=3"]),
    ],
)
def test_the_last_word_for_mult_counts(typed, taken):
    assert as_options(typed) == taken


def test_numbers_beside_options_of_ones_own_are_refused():
    with pytest.raises(
        BadInput,
        match=r"mult=mine,2.5: numbers go together with x1, x1.5, x2, x4, x8, not with mine; mult.factor=",
    ):
        as_options(["mult=mine,2.5"])


def test_a_number_wins_over_an_experiments_factor(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "own.yaml").write_text("# @package _global_\nmult:\n  factor: 3\n")
    for words, factor in (([], 3), (["mult=4"], 4), (["mult=2.5"], 2.5)):
        done = command(
            "--config-dir", tmp_path, "+experiment=own", *words, "dry_run=true", f"root={tmp_path / 'out'}"
        )
        assert f" x{factor} " in done.stdout, done.stderr


@pytest.mark.parametrize(
    "words", [["mult=2", "mult=x2", "mult.factor=2", "mult=2.0"], ["mult=3", "mult.factor=3"]]
)
def test_a_factor_is_one_run_however_it_is_typed(words, tmp_path):
    configs = [OmegaConf.to_container(composed(word, root=tmp_path), resolve=True) for word in words]
    assert all(config == configs[0] for config in configs)


def factors(done) -> list[float]:
    """Return the factors of the jobs that a dry run has planned."""
    assert done.returncode == 0, done.stderr
    return [
        float(line.split(" x")[1].split()[0]) for line in done.stdout.splitlines() if " checked  " in line
    ]


@pytest.mark.parametrize(
    ("line", "planned"),
    [
        ("mult=x1,x4", [1, 4]),
        ("mult=1,4", [1, 4]),
        ("mult=1,2.5,4", [1, 2.5, 4]),
        ("mult.factor=1,2.5", [1, 2.5]),
        ("mult=range(2,4)", [2, 3]),
        ("mult=glob(*)", [1, 1.5, 2, 4, 8]),
        ("+experiment=multiplicity alg=lhd noise=class data=digits seed=0", [1, 2, 4, 8]),
        ("+experiment=multiplicity alg=lhd noise=class data=digits seed=0 mult=2,4", [2, 4]),
        ("+experiment=multiplicity alg=lhd noise=class data=digits seed=0 mult=2.5", [2.5]),
        ("+experiment=multiplicity alg=lhd noise=class data=digits seed=0 mult.factor=3,5", [3, 5]),
        ("+experiment=numbers", [2, 4]),
        ("+experiment=numbers mult=x8", [8]),
        ("+experiment=factors", [0.5, 4]),
    ],
)
def test_sweeps_over_mult(line, planned, tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    for name, values in (("numbers", "2,4"), ("factors", "0.5,4")):
        text = f"# @package _global_\nhydra:\n  sweeper:\n    params:\n      mult: {values}\n"
        (tmp_path / "mine" / "experiment" / f"{name}.yaml").write_text(text)
    done = command(
        "-m", *line.split(), *[o for o in TOY if not o.startswith("data")], "dry_run=true", f"root={tmp_path / 'out'}",
        f"hydra.searchpath=[file://{tmp_path / 'mine'}]",
    )  # fmt: skip
    assert factors(done) == planned


def test_what_is_recorded_runs_again(tmp_path):
    for number in ("4", "2.5"):
        command(*TOY, f"mult={number}", f"root={tmp_path}")
    folders = sorted(path.parent for path in tmp_path.glob("*/*/.hydra"))
    assert len(folders) == 2
    for folder in folders:
        given = OmegaConf.load(folder / ".hydra" / "overrides.yaml")
        again = command(*given)
        assert "finished already" in again.stdout, again.stderr
    assert len(records(tmp_path)) == 2


def test_a_files_mult_that_is_no_option_is_answered(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "old.yaml").write_text("# @package _global_\nmult: 4\n")
    done = command("--config-dir", tmp_path, "+experiment=old", f"root={tmp_path / 'out'}")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: mult=4: must be one of the choices of mult, or a number; --help lists them; in a YAML, override"
    )
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_number_in_a_defaults_list_is_answered(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "old.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /mult: 4\n"
    )
    done = command("--config-dir", tmp_path, "+experiment=old", f"root={tmp_path / 'out'}")
    assert done.returncode == 1
    assert "an option is named by text, as mult: x4" in done.stderr
    assert len(done.stderr.splitlines()) == 1
