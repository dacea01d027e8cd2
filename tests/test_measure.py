"""What is said of pseudo-labels: counted by hand."""

import torch

from hetal.evaluate import pseudo_label_metrics
from hetal.noise import NoisyPool
from hetal.oracle import Oracle
from hetal.train.finetune import PseudoLabels


def oracle() -> Oracle:
    hidden, is_noisy = torch.tensor([0, 1, 2, 0, 1]), torch.tensor([0, 0, 0, 1, 1]).bool()
    return Oracle(NoisyPool(torch.zeros(5, 1), torch.arange(5), hidden, is_noisy))


def test_pseudo_labels_are_judged_on_clean_and_noisy_rows_apart():
    found = pseudo_label_metrics(
        PseudoLabels(torch.tensor([4, 0, 1, 3]), torch.tensor([1, 0, 2, 2])), oracle()
    )
    assert found == {
        "n_pseudo": 4, "n_pseudo_noisy": 2, "pseudo_accuracy": 0.5,
        "pseudo_accuracy_clean": 0.5, "pseudo_accuracy_noisy": 0.5,
    }  # fmt: skip
    found = pseudo_label_metrics(PseudoLabels(torch.tensor([0, 2, 4]), torch.tensor([0, 2, 0])), oracle())
    assert (found["pseudo_accuracy_clean"], found["pseudo_accuracy_noisy"]) == (1.0, 0.0)


def test_where_there_are_none_there_is_no_share():
    clean = pseudo_label_metrics(PseudoLabels(torch.tensor([0]), torch.tensor([0])), oracle())
    assert (clean["n_pseudo_noisy"], clean["pseudo_accuracy_noisy"]) == (0, None)
    nothing = pseudo_label_metrics(PseudoLabels(torch.tensor([]).long(), torch.tensor([]).long()), oracle())
    assert nothing["n_pseudo"] == 0
    assert nothing["pseudo_accuracy"] is nothing["pseudo_accuracy_clean"] is None
    assert pseudo_label_metrics(None, oracle())["n_pseudo"] is None
