"""The LHD paper's published algorithm, transcribed in plain loops: a slow oracle that shares no code with hetal.

Written from the description of the code of Khosla et al. (ECAI 2023): one round of training with its moving average,
the moment T, fine-tuning at T, and the gaps that LHD reads there.
"""

import copy
import math
from dataclasses import dataclass, field

import torch


@dataclass
class Round:
    """What one round gave; `tested` is the network of the last final check, None if there was none."""

    step: int
    moment: int | None = None
    rows: list[int] | None = None  # fine-tuned on
    labels: list[int] | None = None
    hidden: list[list[float]] = field(default_factory=list)  # dh
    loss: list[float] = field(default_factory=list)  # dl
    tested: torch.nn.Module | None = None
    epochs: int = 0


class Adam:
    """Adam with its usual constants, one number of state per weight."""

    def __init__(self, weights, lr):
        self.weights, self.lr, self.t = list(weights), lr, 0
        self.m = [torch.zeros_like(w) for w in self.weights]
        self.v = [torch.zeros_like(w) for w in self.weights]

    def step(self, gradients):
        self.t += 1
        for w, g, m, v in zip(self.weights, gradients, self.m, self.v, strict=True):
            m.copy_(0.9 * m + 0.1 * g)
            v.copy_(0.999 * v + 0.001 * g * g)
            m_hat, v_hat = m / (1 - 0.9**self.t), v / (1 - 0.999**self.t)
            w.data -= self.lr * m_hat / (v_hat.sqrt() + 1e-8)


def cross_entropy(logits, label):
    """-log softmax(logits)[label] of one row, in Python's floats."""
    top = max(logits)
    return math.log(sum(math.exp(f - top) for f in logits)) + top - logits[label]


def update_average(average, network, step):
    """w_ema <- a w_ema + (1 - a) w with a = min(1 - 1/(k+1), 0.999); batch-norm statistics are not averaged."""
    a = min(1 - 1 / (step + 1), 0.999)
    for old, new in zip(average.parameters(), network.parameters(), strict=True):
        old.data = a * old.data + (1 - a) * new.data


def one_epoch(network, average, step, x, y, order, optimizer, batch, clip):
    """Return the train accuracies of both over the epoch, each before its update, and the step count."""
    network.train()
    average.train()
    right = right_average = 0
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        logits = network(x[rows])[0]
        loss = -logits.log_softmax(1)[range(len(rows)), y[rows]].mean()
        gradients = torch.autograd.grad(loss, optimizer.weights)
        with torch.no_grad():
            optimizer.step([g.clamp(-clip, clip) for g in gradients])
            guesses, guesses_average = logits.argmax(1), average(x[rows])[0].argmax(1)
        for guess, guess_average, label in zip(guesses, guesses_average, y[rows], strict=True):
            right += bool(guess == label)
            right_average += bool(guess_average == label)
        step += 1
        update_average(average, network, step)
    return right / len(order), right_average / len(order), step


def moment(online, average, falls=5):
    """T of two sequences of accuracies: the end of `falls` falls of their gap in a row, else the last epoch."""
    gap, count = 0.0, 0
    for epoch, (a, b) in enumerate(zip(online, average, strict=True), start=1):
        count = count + 1 if a - b < gap else 0
        if count == falls:
            return epoch
        gap = a - b
    return len(online)


@torch.no_grad()
def hidden_gap(network, average, x, batch):
    """dh of rows in order, of the average in train mode; this overwrites the average's batch-norm statistics."""
    network.eval()
    average.train()
    gaps = []
    for start in range(0, len(x), batch):
        h, h_average = network(x[start : start + batch])[1], average(x[start : start + batch])[1]
        gaps += (h_average - h).tolist()
    return gaps


@torch.no_grad()
def loss_gap(network, average, x):
    """dl of rows, both networks in evaluation mode; the label is the average's guess."""
    network.eval()
    average.eval()
    gaps = []
    for row in x:
        f, f_average = network(row[None])[0][0].tolist(), average(row[None])[0][0].tolist()
        label = f_average.index(max(f_average))
        gaps.append(abs(cross_entropy(f_average, label) - cross_entropy(f, label)))
    return gaps


@torch.no_grad()
def pseudo_labels(network, x, labelled, threshold):
    """Rows to fine-tune on, and their labels: every row bought, and each other whose largest probability is higher."""
    network.eval()
    rows, labels = [], []
    for i in range(len(x)):
        f = network(x[i : i + 1])[0][0].tolist()
        largest = 1 / sum(math.exp(value - max(f)) for value in f)
        if i in labelled or largest > threshold:
            rows.append(i)
            labels.append(f.index(max(f)))
    return rows, labels


def train_round(
    network, average, step, x, y, labelled, order, *, lr, batch, clip, cap, falls, read_batch, tune=None
):
    """Train `network` and `average` in place for one round.

    Args:
        network, average: with fresh weights.
        step: updates of the average in earlier rounds.
        x, y: all rows of the pool as network input, and their labels, of which only those of `labelled` are read.
        labelled: rows bought, in the order of training rows.
        order: called with a list of rows, returns it shuffled.
        cap: epochs of training at most, and of fine-tuning.
        read_batch: rows per batch where dh is read.
        tune: (threshold of probability, factor of the learning rate, least number of rows) of fine-tuning at T.
    """
    done = Round(step)
    others = [i for i in range(len(x)) if i not in labelled]
    optimizer = Adam(network.parameters(), lr)
    accuracy = average_accuracy = 0.0
    onlines, averages = [], []
    while (accuracy < 0.99 or average_accuracy < 0.80) and done.epochs < cap:
        accuracy, average_accuracy, done.step = one_epoch(
            network, average, done.step, x, y, order(labelled), optimizer, batch, clip
        )
        done.epochs += 1
        onlines.append(accuracy)
        averages.append(average_accuracy)
        is_final = (accuracy >= 0.99 and average_accuracy >= 0.80) or done.epochs == cap
        if is_final:
            done.tested = copy.deepcopy(network)
        fell = moment([*onlines, 2.0], [*averages, 0.0], falls) == done.epochs
        if done.moment is None and (fell or is_final):
            done.moment = done.epochs
            done.hidden = hidden_gap(network, average, x[others], read_batch)
            if tune:
                threshold, factor, least = tune
                rows, labels = pseudo_labels(network, x, labelled, threshold)
                accuracy = average_accuracy = -1.0
                if len(rows) >= least:
                    done.rows, done.labels = rows, labels
                    accuracy, average_accuracy, done.step = _fine_tune(
                        network,
                        average,
                        done.step,
                        x,
                        rows,
                        labels,
                        labelled,
                        order,
                        lr * factor,
                        batch,
                        clip,
                        cap,
                    )
            done.loss = loss_gap(network, average, x[others])
    return done


def _fine_tune(network, average, step, x, rows, labels, labelled, order, lr, batch, clip, cap):
    y = torch.zeros(len(x)).long()
    y[rows] = torch.tensor(labels)
    # Bought rows first, which is the order that hetal shuffles.
    rows = [*labelled, *(i for i in rows if i not in labelled)]
    optimizer = Adam(network.parameters(), lr)
    accuracy = average_accuracy = 0.0
    for _ in range(cap):
        accuracy, average_accuracy, step = one_epoch(
            network, average, step, x, y, order(rows), optimizer, batch, clip
        )
        if accuracy >= 0.99 and average_accuracy >= 0.80:
            break
    return accuracy, average_accuracy, step
