"""The record of a run on disk: written round by round, locked while it is written, and continued after a stop.

A run's folder holds `.hydra/` (the resolved config and the overrides), `rounds.jsonl` (one `Round` a line, the public
record), `queries.npz` (every row bought), `summary.json` once finished, `provenance.json`, `curve.png`, and
`pictures.npz` (for the report's pictures of purchases); with `keep_network=true` also `network.pt`, the state_dict of
the last round's network; for a strategy that keeps state, `strategy-<round>.pt`, its state after each query; with warm
starts `weights-<round>.pt`, what the next round starts from, of the rounds that may be run again.

`rounds.jsonl` is the commit point: `queries.npz` and states are written first, and what they hold beyond it is dropped.
"""

from __future__ import annotations

import dataclasses
import glob
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import nn

from hetal.budget import Budget, first_to_repeat
from hetal.errors import BadInput, RecordLocked
from hetal.machine.files import (
    leftovers,
    make_folder,
    remove,
    remove_folders,
    write_atomically,
    write_text,
)
from hetal.record.checkpoint import Checkpoint, State, weights_of
from hetal.record.history import History
from hetal.record.holder import Holder
from hetal.record.identity import (
    data_files,
    differences,
    identify,
    identifying_settings,
    with_content_digests,
)
from hetal.record.kept import Kept
from hetal.record.provenance import environment_change, made_by, session, source
from hetal.record.reader import RESTART_HINT, read_contents
from hetal.record.schema import START, PoolContent, Provenance, Purchase, Round, is_of_bound, marked
from hetal.record.seal import queries_digests, seal

# Files that a forced run replaces; provenance.json last, since the others are refused without it.
OUTPUTS = (
    "summary.json", "rounds.jsonl", "queries.npz", "pictures.npz", "network.pt", "curve.png", "round.ckpt",
    "trace-train.json", "trace-train.txt", "trace-query.json", "trace-query.txt", "provenance.json",
)  # fmt: skip


class Record(History):
    """The record of one run, in the run's folder.

    Args:
        config: the resolved config, plain values.
        choices: the option chosen in each config group, for a readable folder name.
        overrides: the overrides of the command line.
        force: do not read what the folder holds, which may be damaged, since it will be replaced.
        config_dirs: where the command found configs beside hetal's own.

    Attributes:
        settings: all settings that can change the result, see `hetal.record.identity`.
        rounds: finished rounds.
        purchases: the start set, then the purchase of each finished round.
        summary: of the finished run; None while it is not finished.
        notes: messages for the user on the state in which the record was found.

    Raises:
        Unreadable: an existing record cannot be read.
        BadInput: `name` is not a plain folder name; a file that a setting names cannot be read; or an existing record
            is damaged beyond repair, was changed after it was written, or is another run's.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        choices: Mapping[str, str],
        overrides: Sequence[str] = (),
        force: bool = False,
        config_dirs: Sequence[str] = (),
    ) -> None:
        super().__init__()
        identity = identify(config, choices)
        self.settings = identity.settings
        self.hash = identity.hash
        self._title = identity.title
        self.group = identity.group
        self.dir = identity.dir
        self.config = config
        self.choices = dict(choices)
        self.id = ""
        self.source = str(self.dir / "queries.npz")
        self.summary: dict[str, Any] | None = None
        self.notes: list[str] = []
        self._lines: list[str] = []  # of rounds.jsonl
        self._overrides = list(overrides)
        self._config_dirs = config_dirs
        self._about: Provenance | None = None
        self._holder = Holder(self.dir)
        self._states = Kept(self.dir, "strategy", "the next query")
        self._weights_kept = Kept(self.dir, "weights", "the next round")
        if not force:
            self._load()

    @property
    def title(self) -> str:
        """Readable name of the run, which says so of a bound once the run has been started."""
        return marked(self._title, self._sees)

    @property
    def strategy(self) -> str:
        """Name of the strategy, which says so of a bound once the run has been started."""
        return marked(self.choices["alg"], self._sees)

    @property
    def is_bound(self) -> bool:
        """Whether the strategy sees hidden labels, as is known once the run has been started."""
        return is_of_bound(self._sees)

    @property
    def _sees(self) -> Sequence[str]:
        return self._about.sees if self._about else ()

    @property
    def data(self) -> str:
        """Fingerprint of the data that the run was started with, see `hetal.experiment`; empty before the start."""
        return self._about.data if self._about else ""

    @property
    def files(self) -> Mapping[str, str]:
        """Digests of the files that its data were read from, see `hetal.record.identity.data_files`."""
        return self._about.files if self._about else {}

    @property
    def pool(self) -> PoolContent:
        """What the pool holds; empty before the start, and in old records."""
        return self._about.pool if self._about else PoolContent()

    def finished(self, budget: Budget) -> list[Round] | None:
        """Return all rounds of `budget` if they are on record and nothing is left to do, else None.

        Raises:
            BadInput: a longer run is on record, with no network at this budget's end.
        """
        rounds = budget.part_of(self.rounds)
        return None if rounds == self.rounds and self.summary is None else rounds

    @contextmanager
    def hold(
        self,
        device: torch.device,
        data: str,
        force: bool = False,
        budget: Budget | None = None,
        sees: Sequence[str] = (),
        classes: Sequence[str] = (),
        pool: PoolContent | None = None,
    ) -> Iterator[Record]:
        """Lock the record for writing inside a `with` block, check that this run may continue it, and start a session.

        If a shorter run is on record, its rounds that differ under `budget` are removed first. If nothing is left to do
        for `budget`, see `finished`, nothing is changed.

        Args:
            device: that the run computes on.
            data: `Setup.fingerprint` of the run's data.
            force: delete what the folder holds and start again.
            budget: of the run.
            sees: `Setup.sees` of the run.
            classes: names of the classes, if they have any.
            pool: `Setup.pool_content` of the run.

        Raises:
            RecordLocked: another process holds the record.
            BadInput: the run was started with other data, by other code or on another kind of device; or the folder
                cannot be written.
        """
        try:
            make_folder(self.dir)
        except BadInput as error:
            raise BadInput(f"root={self.config['root']}: {error}") from None
        with self._holder.hold():
            for path in leftovers(self.dir):
                remove(path)
            if force:
                self._forget()
            self._load()
            made = self.check(device, data)
            if budget is None or self.finished(budget) is None:
                if budget is not None:
                    self.cut(budget.n_shared(self.rounds))
                self._begin(device, data, made, sees, classes, pool or PoolContent())
            yield self

    def wait(self, check: Callable[[], None]) -> None:
        """Wait until no other process holds this record, then read it again.

        Args:
            check: called repeatedly while waiting; an exception from it ends the wait.
        """
        while True:
            with suppress(RecordLocked), self._holder.locked():
                self._load()
                return
            check()
            time.sleep(0.2)

    def cut(self, n: int) -> None:
        """Keep only the first `n` rounds: the others would differ in the longer run that is to follow."""
        if n == len(self.rounds):
            return
        self._holder.check()
        assert self._about is not None
        if (ends := self.rounds[-1].n_labelled) != self.rounds[n].n_labelled:
            self.notes.append(
                f"the network at {ends} labels is dropped: a smaller n_end had cut the query before it short"
            )
        # A tracker cannot delete rounds, so the continuation is another run to it and needs a new id. The id is written
        # first: if this process is killed before the rounds are removed, the cut is simply made again.
        remove_folders(self.dir / "wandb", f"offline-run-*-{glob.escape(f'{self.hash}-{self._about.id}')}")
        self.id = uuid.uuid4().hex[:8]
        self._write_about(dataclasses.replace(self._about, id=self.id))
        self.summary = None
        stale = ("summary.json", "network.pt", "pictures.npz", "curve.png")
        for name in stale if n else (*stale, "rounds.jsonl"):
            remove(self.dir / name)
        del self.rounds[n:], self._lines[n:], self.purchases[n + 1 :]
        if n:
            self._write_rounds()

    def strategy_state(self) -> State | None:
        """Return the state of the strategy after its last query; None before the first.

        Raises:
            BadInput: the state file is missing or damaged.
        """
        if not self.rounds:
            return None
        return self._states.read(len(self.rounds) - 1, self.rounds[-1].queries_digest)

    def weights(self) -> State | None:
        """Return the weights that the last round ended with, for a warm start; None before the first round.

        Raises:
            BadInput: the file is missing or damaged.
        """
        t = len(self.rounds) - 1
        # A last round hands nothing on, and nothing follows it.
        needed = self.rounds and self.rounds[t].n_bought
        return self._weights_kept.read(t, self.rounds[t].queries_digest) if needed else None

    def append(
        self, row: Round, purchase: Purchase, state: State | None = None, weights: State | None = None
    ) -> None:
        """Add a finished round, see `hetal.record.history.History.append`."""
        self._holder.check()
        self.purchases.append(purchase)
        *_, digest = queries_digests(self.purchases)
        if state is not None:
            self._states.write(row.round, digest, state)
        if weights is not None and row.n_bought:
            self._weights_kept.write(row.round, digest, weights)
        values = dataclasses.asdict(dataclasses.replace(row, queries_digest=digest))
        del values["digest"]
        previous = self.rounds[-1].digest if self.rounds else self.hash
        line = seal(json.dumps(values, allow_nan=False), previous)
        self._lines.append(line)
        self.rounds.append(Round(**json.loads(line)))
        self._write_queries()
        self._write_rounds()
        self._tidy()

    def keep_network(self, network: nn.Module) -> None:
        """Write the weights of the last round's network; called before the round is added, so none lacks them."""
        self._holder.check()
        write_atomically(self.dir / "network.pt", lambda file: torch.save(weights_of(network), file))

    def kept_network(self) -> dict[str, torch.Tensor] | None:
        """Return the weights that `keep_network` wrote; None if there are none or they cannot be read."""
        try:
            weights: dict[str, torch.Tensor] = torch.load(
                self.dir / "network.pt", weights_only=True, map_location="cpu"
            )
        except Exception:  # torch's exception depends on which byte is wrong
            return None
        return weights

    def keep_arrays(self, name: str, arrays: Mapping[str, Any]) -> None:
        """Write plain arrays to an .npz file called `name`, see `hetal.watch.pictures`."""
        self._holder.check()
        write_atomically(self.dir / name, lambda file: np.savez(file, **arrays))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the summary, which marks the run as finished."""
        self._holder.check()
        self._tidy()
        self._write_sealed("summary.json", summary, self.rounds[-1].digest)
        self.summary = dict(summary)

    def checkpoint(self, t: int, minutes: float | None) -> Checkpoint:
        """Return the checkpoint of round `t`, to be written every so many minutes, see `hetal.record.checkpoint`."""
        return Checkpoint(self.dir / "round.ckpt", t, minutes)

    def changed(self, now: Mapping[str, str]) -> str | None:
        """Describe how the versions `now`, see `made_by`, differ from those that began this record; None if equal."""
        then = self._about.made_by if self._about else {}
        differ = [key for key in now if key in then and then[key] != now[key]]
        if not differ:
            return None
        return (
            f"was begun by {', '.join(f'{key} {then[key]}' for key in differ)}; "
            f"this is {', '.join(f'{key} {now[key]}' for key in differ)}"
        )

    def check(self, device: torch.device, data: str) -> dict[str, str]:
        """Check that this run may continue the record, and return the versions that compute it, see `made_by`.

        Raises:
            BadInput: the record was begun with other data, by other code or on another kind of device.
        """
        versions = {**made_by(self.config), "device": device.type}
        # The content of files may have changed since `settings` was computed.
        if differ := differences(self.settings, with_content_digests(identifying_settings(self.config))):
            raise BadInput(f"{', '.join(differ)}: what it names was changed while the run was started")
        if self._about is not None and self._about.data != data:
            raise BadInput(f"{self.dir} was begun with other data than these; {RESTART_HINT}")
        if changed := self.changed(versions):
            raise BadInput(f"{self.dir} {changed}; {RESTART_HINT}")
        return versions

    def _begin(
        self,
        device: torch.device,
        data: str,
        versions: dict[str, str],
        sees: Sequence[str],
        classes: Sequence[str],
        pool: PoolContent,
    ) -> None:
        about = self._about or Provenance(
            id=uuid.uuid4().hex[:8],
            data=data,
            choices=self.choices,
            made_by=versions,
            source=source(),
            sessions=[],
            settings=dict(self.settings),
            files=data_files(self.config),
            sees=list(sees),
            classes=list(classes),
            pool=pool,
        )
        now = session(device, self._config_dirs)
        if about.sessions and (was := about.sessions[-1].machine.cpu) != now.machine.cpu:
            self.notes.append(f"begun on a CPU with {was}; equal bits are promised on one type of CPU")
        if other := environment_change(now, about.sessions):
            self.notes.append(other)
        about = dataclasses.replace(about, sessions=[*about.sessions, now])
        self.id = about.id
        folder = self.dir / ".hydra"
        make_folder(folder)
        write_text(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(dict(self.config))))
        write_text(folder / "overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(self._overrides)))
        self._write_about(about)

    def _write_about(self, about: Provenance) -> None:
        self._about = about
        self._write_sealed("provenance.json", dataclasses.asdict(about), "")

    def _write_sealed(self, name: str, values: Mapping[str, Any], previous: str) -> None:
        text = json.dumps(values, indent=2, allow_nan=False)
        write_text(self.dir / name, seal(text, previous))

    def _tidy(self) -> None:
        """Remove what the rounds on record have made needless."""
        remove(self.dir / "round.ckpt")
        first = first_to_repeat(self.rounds)
        self._weights_kept.remove(but=[row.round for row in self.rounds[max(first - 1, 0) :] if row.n_bought])

    def _forget(self) -> None:
        self._states.remove()
        self._weights_kept.remove()
        for name in OUTPUTS:
            remove(self.dir / name)
        remove_folders(self.dir / "wandb", f"offline-run-*-{glob.escape(self.hash)}-*")

    def _load(self) -> None:
        contents = read_contents(self.dir)
        if contents.about and (differ := differences(contents.about.settings, self.settings)):
            details = ", ".join(
                f"{key} is {recorded} there and {current} here" for key, (recorded, current) in differ.items()
            )
            raise BadInput(f"{self.dir} holds another run ({details}); name=OTHER keeps them apart")
        self.rounds, self.purchases, self._lines = (
            list(contents.rounds),
            list(contents.purchases),
            list(contents.lines),
        )
        self.summary, self.notes, self._about = contents.summary, list(contents.notes), contents.about

    def _write_rounds(self) -> None:
        write_text(self.dir / "rounds.jsonl", "\n".join(self._lines) + "\n")

    def _write_queries(self) -> None:
        sizes = [len(b.ids) for b in self.purchases]
        columns: dict[str, Any] = {
            f.name: torch.cat([getattr(b, f.name).cpu() for b in self.purchases]).numpy()
            for f in dataclasses.fields(Purchase)
        }
        round_ = np.repeat(np.arange(len(sizes)) + START, sizes)
        write_atomically(self.dir / "queries.npz", lambda file: np.savez(file, round=round_, **columns))
