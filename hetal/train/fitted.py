"""Outputs of a round's networks on the distinct images of the pool, as query strategies read them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from hetal.errors import BadInput, Diverged
from hetal.machine.clock import Stopwatch
from hetal.machine.scratch import gathered
from hetal.record.checkpoint import State
from hetal.rng import seeded
from hetal.train.forward import Forward, Outputs, Standardise, check_finite
from hetal.train.given import given_features
from hetal.train.head import EnsembleHead, Head, find_head
from hetal.train.masks import dropouts_in, share_masks
from hetal.train.members import ensemble_in, logits_of_members


@dataclass(frozen=True)
class Pair:
    """A network and its moving average at one moment of training."""

    online: nn.Module
    ema: nn.Module

    def state_dict(self) -> State:
        """Return the weights and buffers of both."""
        return {"online": self.online.state_dict(), "ema": self.ema.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` returned, into networks of the same architecture."""
        self.online.load_state_dict(state["online"])
        self.ema.load_state_dict(state["ema"])


class Fitted:
    """The networks of one round and their outputs on the M distinct images of the pool, computed on demand.

    Args:
        networks: the trained network and its moving average, of which the former is tested; None before any training,
            where only what the data give can be read.
        images_M: distinct images of the pool.
        prepare: maps stored images to network input.
        batch_size: images per forward pass.
        snapshot: the pair that LHD compares, from before fine-tuning; None if training kept none.
        tuned: the pair just after fine-tuning, which is `networks` where nothing followed; None without fine-tuning.
        targets: (T, *image_shape) images of the test set, as stored; None unless the strategy declared that it reads
            them.
        attempt: 1 for the first network of a round, one more after each restart of its training.
        given_M: (M, ...) features that the data bring along beside the images; None where they bring none.
        n_classes: C of the task; None reads it off the network.
        tf32: whether forward passes may use TF32, see `hetal.machine.arithmetic`.
    """

    def __init__(
        self,
        networks: Pair | None,
        images_M: Tensor,
        prepare: Standardise,
        batch_size: int,
        snapshot: Pair | None = None,
        tuned: Pair | None = None,
        targets: Tensor | None = None,
        attempt: int = 1,
        given_M: Tensor | None = None,
        n_classes: int | None = None,
        tf32: bool = False,
    ) -> None:
        self.tuned = tuned
        self.attempt = attempt
        self._networks = networks
        self._snapshot = snapshot
        self._targets = targets
        self._images_M = images_M
        self._given_M = given_M
        self._n_classes = n_classes
        self._forward = Forward(prepare, batch_size, images_M.device, tf32)

    @property
    def watch(self) -> Stopwatch:
        """The time of forward passes."""
        return self._forward.watch

    @property
    def networks(self) -> Pair:
        """The trained network and its moving average.

        Raises:
            BadInput: there are none yet, since this is the choice of the start set.
        """
        if self._networks is None:
            raise BadInput(
                "start: it reads a network, and before the first labels there is none; there are given_MD and the pool"
            )
        return self._networks

    @property
    def snapshot(self) -> Pair:
        """The pair of networks at LHD's moment T, from before any fine-tuning.

        Raises:
            RuntimeError: training has kept none: no strategy declared `reads_snapshot`, or T has not come yet.
        """
        if self._snapshot is None:
            raise RuntimeError(
                "this strategy reads the snapshot pair but does not declare reads_snapshot = True, "
                "or reads it after an epoch before LHD's moment T"
            )
        return self._snapshot

    @property
    def targets(self) -> Tensor:
        """Images of the test set as stored, without labels: (T, *image_shape); for `outputs` and `passes`.

        Raises:
            BadInput: the strategy did not declare `reads_targets`.
        """
        if self._targets is None:
            raise BadInput("this strategy reads test inputs but does not declare reads_targets = True")
        return self._targets

    def tensors(self) -> dict[str, Tensor]:
        """Return all weights and buffers of the networks and the target inputs, by names for messages."""
        weights = {
            f"{name}'s {key}": tensor
            for name, network in self._all_networks().items()
            for key, tensor in network.state_dict(keep_vars=True).items()
        }
        return weights if self._targets is None else {**weights, "fitted.targets": self._targets}

    def structure(self) -> dict[str, object]:
        """Return what else determines the outputs (modules, forward methods, hooks), by names for messages."""
        parts: dict[str, object] = {
            f"fitted.{key}": id(value)
            for key, value in vars(self).items()
            # What is filled in when outputs are computed is left out.
            if not isinstance(getattr(type(self), key, None), cached_property)
        }
        for name, network in self._all_networks().items():
            for path, module in network.named_modules():
                # Other attributes are left out: a network may store its last outputs in them.
                hooks = [[*value] for key, value in vars(module).items() if key.endswith("_hooks")]
                forward = (id(type(module).forward), id(vars(module).get("forward")))
                parts[f"{name}'s {path or 'forward'}"] = (id(module), forward, hooks)
        return parts

    def _all_networks(self) -> dict[str, nn.Module]:
        pairs = {"networks": self._networks, "snapshot": self._snapshot, "tuned": self.tuned}
        networks: dict[str, nn.Module] = {}
        for name, pair in pairs.items():
            if pair is not None:
                networks |= {f"fitted.{name}.online": pair.online, f"fitted.{name}.ema": pair.ema}
        return networks

    @cached_property
    def _outputs_M(self) -> Outputs:
        return self.outputs(self.networks.online, self._images_M)

    @property
    def n_classes(self) -> int:
        """C, the number of classes of the task."""
        return self.probs_MC.shape[1] if self._n_classes is None else self._n_classes

    @property
    def logits_MC(self) -> Tensor:
        """Logits of every distinct image, (M, C): what `probs_MC` is the softmax of."""
        return self._outputs_M.logits

    @property
    def probs_MC(self) -> Tensor:
        """Class probabilities of every distinct image, (M, C)."""
        return self._outputs_M.probs

    @property
    def features_MD(self) -> Tensor:
        """Penultimate features of every distinct image, (M, D)."""
        return self._outputs_M.features

    @cached_property
    def head(self) -> Head | EnsembleHead:
        """The network's last layer as a function of features: head(features_MD) = logits_MC.

        That of a single network has its weights, `weight_CD` and `bias_C`.

        Raises:
            BadInput: the network has no linear layer that maps its features to its logits.
        """
        some = self.outputs(self.networks.online, self._images_M[:2])
        return find_head(self.networks.online, some.logits, some.features)

    @cached_property
    def given_MD(self) -> Tensor:
        """Features that the data bring along, of every distinct image, (M, D); see `hetal.train.given`."""
        return given_features(self._images_M, self._forward.prepare, self._given_M)

    @property
    def n_members(self) -> int:
        """K, the number of networks in the ensemble, `model.members`; 1 of a single network."""
        ensemble = ensemble_in(self.networks.online)
        return 1 if ensemble is None else ensemble.n_members

    @cached_property
    def members_KMC(self) -> Tensor:
        """Class probabilities of every distinct image by each member of an ensemble, (K, M, C)."""
        return torch.cat([*self.members(self._images_M)], 1)

    def members(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the probabilities (K, b, C) by each member of an ensemble, for each batch of b images in turn.

        Args:
            images: (n, *image_shape) as stored.

        Raises:
            Diverged: an output is not finite.
        """
        network = copy.deepcopy(self.networks.online).eval()

        @torch.inference_mode()
        def probs_of(batch: Tensor) -> Tensor:
            return logits_of_members(network, self._forward.prepare(batch)).softmax(-1)

        are_finite = []
        for probs_KbC in self._forward.batches(images, probs_of):
            are_finite.append(probs_KbC.isfinite().all())
            yield probs_KbC
        if are_finite and not bool(torch.stack(are_finite).all()):
            raise Diverged("a member of the ensemble gives NaN or infinity; a smaller optimizer.lr may help")

    def images(self, numbers: Tensor) -> Tensor:
        """Return the stored images of these image numbers."""
        return gathered(self._images_M, numbers)

    def outputs(self, network: nn.Module, images: Tensor, are_finite: list[Tensor] | None = None) -> Outputs:
        """Run `network` on stored images.

        Args:
            network: one of the pair's networks; its mode and its batch-norm statistics stay as they are.
            images: (n, *image_shape) as stored.
            are_finite: where given, flags are appended to it instead of being checked, see `Forward.outputs`.

        Raises:
            Diverged: an output is not finite.
        """
        was_training = network.training
        network.eval()
        result = self._forward.outputs(network, images, are_finite=are_finite)
        network.train(was_training)
        return result

    def train_mode_outputs(
        self, network: nn.Module, images: Tensor, batch_size: int
    ) -> tuple[Outputs, nn.Module]:
        """Run a copy of `network` in train mode, as the LHD paper's code does; return its outputs and the copy.

        Batch norm then uses the statistics of each batch, so that outputs depend on the order of `images`, and the
        running statistics of the copy are overwritten by those of the last batches.

        Args:
            network: one of the pair's networks; it stays as it is.
            images: (n, *image_shape) as stored.
            batch_size: images per batch.

        Raises:
            Diverged: an output is not finite.
        """
        network = copy.deepcopy(network).train()
        return self._forward.outputs(network, images, batch_size), network

    def passes(
        self, k: int, images: Tensor, rng: torch.Generator, same_masks: bool = False
    ) -> Iterator[Tensor]:
        """Yield the probabilities (k, b, C) of `k` dropout passes, for each batch of b images in turn.

        Args:
            k: stochastic forward passes per image.
            images: (n, *image_shape) as stored.
            rng: CPU generator that seeds the dropout masks.
            same_masks: drop the same units for all images in a pass, as one network drawn from the posterior does.
                Another call with a generator in the same state drops the same. Not of an ensemble.

        Raises:
            Diverged: after the last batch, if an output was not finite.
        """
        network = copy.deepcopy(self.networks.online).eval()
        for module in dropouts_in(network):
            module.train()
        if same_masks:
            if self.n_members > 1:
                raise ValueError("same_masks is for a single network; an ensemble has members(images)")
            share_masks(network)

        @torch.inference_mode()
        def probs_of(batch: Tensor) -> Tensor:
            passes = []
            for seed in seeds:
                if seed is not None:
                    torch.manual_seed(seed)
                passes.append(network(self._forward.prepare(batch))[0].softmax(1))
            return torch.stack(passes)

        are_finite = []
        with seeded(rng, images.device):
            seeds = torch.randint(2**62, (k,)).tolist() if same_masks else [None] * k
            for probs_kbC in self._forward.batches(images, probs_of):
                are_finite.append(probs_kbC.isfinite().all(2).all(0))
                yield probs_kbC
        check_finite(are_finite)


def has_dropout(network: nn.Module) -> bool:
    """Return whether `network` has active dropout layers, so that two passes can differ."""
    return any(m.p > 0 for m in dropouts_in(network))
