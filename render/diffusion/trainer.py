"""Training a portrait model: read `train_portrait` from top to bottom."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from models.scalars import Board
from render.diffusion import checkpoint
from render.diffusion.batches import PortraitBatch, PortraitBatches
from render.diffusion.config import FREE, PortraitTraining
from render.diffusion.data import PortraitData
from render.diffusion.noise import Chain
from render.diffusion.portrait import ABSENT, NOISY, Portrait
from render.errors import ConfigError, PortraitDataError, TrainingError

Progress = Callable[[int, int, dict[str, float]], None]
"""Called with (step, total steps, metrics)."""


def portrait_loss(model: Portrait, chain: Chain, batch: PortraitBatch) -> Tensor:
    """Weighted squared error of the frames that are noisy; one number."""
    places = model.codec.encode(batch.frames.flatten(0, 1)).unflatten(0, batch.state.shape)
    places = places * (batch.state != ABSENT)[..., None, None, None]
    noise = batch.noise(tuple(places.shape)).to(places)
    mixed = chain.noised(places, noise, batch.step)
    noisy = (batch.state == NOISY)[..., None, None, None]
    seen = model.see(model.codec.encode(batch.picture))
    said = model(torch.where(noisy, mixed, places), batch.step, batch.state, batch.conditions, seen)
    error = (said - chain.target(places, noise, batch.step)).square()
    counts = noisy.expand_as(error)
    if batch.weight is not None:
        counts = counts * model.codec.weigh(batch.weight.flatten(0, 1)).unflatten(
            0, batch.state.shape
        )
    per_window = (error * counts).flatten(1).sum(1) / counts.flatten(1).sum(1)
    return (per_window * chain.weight(batch.step)).mean()


def train_portrait(
    data: PortraitData,
    config: PortraitTraining,
    folder: Path,
    progress: Progress | None = None,
    first: Path | None = None,
) -> Portrait:
    """Train; the averaged model is saved in `folder` and returned.

    A run that was killed goes on from its last checkpoint when called again with the same config;
    a finished one goes on when called with more steps.

    Args:
        data: clips.
        config: everything else.
        folder: of the model.
        progress: told of each report.
        first: folder of a finished model whose weights and statistics this one begins with (MoEE's
            second stage); it may be without experts. None: fresh ones.

    Raises:
        PortraitDataError: clips that do not fit the config.
        PortraitFolderError: `first` holds no model, or one of other sizes.
        TrainingError: another run's checkpoint, or the loss stopped being a number.
    """
    if data.size != config.network.size:
        raise PortraitDataError(
            f"portrait: frames of {data.size} px, the network is for {config.network.size} px; "
            "shrink the frames or set size"
        )
    check_asked(data, config)
    if config.frozen and first is None:
        raise ConfigError(
            "portrait: frozen without a first model: experts would be learnt on random weights; "
            "name the folder of a finished one, or leave frozen out"
        )
    clips = data.training(config.emotion_free)
    if config.moving_weight and clips[0].moving is None:
        raise PortraitDataError(
            f"portrait: moving_weight = {config.moving_weight}, and the clips have no maps of "
            "moving parts; make them by `moving_parts`, or set moving_weight to 0"
        )
    batches, chain = PortraitBatches(clips, config), Chain(config.noise)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    model = Portrait(config.network, data.audio_width, data.k, config.seed)
    for name, values in data.statistics(clips).items():
        getattr(model.tokens, name).copy_(torch.from_numpy(values))
    origin = "" if first is None else checkpoint.begin_with(model, first)
    if config.frozen:
        model.hold_all_but_experts()
    model.to(config.device).train()
    run = _Run(model, data, config, folder, origin)
    run.resume()

    board = Board(folder if config.tensorboard else None)
    saved, losses = time.monotonic(), list(run.pending)
    began = time.monotonic() - run.seconds
    while run.step < config.steps and (config.seconds is None or run.seconds < config.seconds):
        loss = portrait_loss(model, chain, on_device(batches.of(run.step), config.device))
        if not torch.isfinite(loss):
            raise TrainingError(
                f"portrait: the loss is {loss.item()} at step {run.step}; the last good state is "
                f"{folder / checkpoint.TRAINING}; lower learning_rate (now "
                f"{config.learning_rate}) and go on"
            )
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        run.update(float(norm))
        losses.append(loss.item())
        run.pending, run.seconds = tuple(losses), time.monotonic() - began
        if run.step % config.report_every == 0:
            metrics = {"loss": sum(losses) / len(losses), "gradient_norm": float(norm)}
            losses.clear()
            run.pending = ()
            run.curve.append({"step": run.step, "seconds": round(run.seconds, 1), **metrics})
            board.write(run.step, metrics)
            if progress is not None:
                progress(run.step, config.steps, metrics)
        if time.monotonic() - saved > config.save_every:
            run.save()
            saved = time.monotonic()
    board.close()
    run.save()
    run.finish()
    return model.eval()


class _Run:
    """What a checkpoint holds."""

    def __init__(
        self,
        model: Portrait,
        data: PortraitData,
        config: PortraitTraining,
        folder: Path,
        origin: str,
    ) -> None:
        self.model, self.data, self.config, self.folder = model, data, config, folder
        self.origin = origin
        self.learnt = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.optimiser = torch.optim.AdamW(
            self.learnt.values(), config.learning_rate, weight_decay=config.weight_decay
        )
        self.mean = EMAModel(self.learnt.values(), decay=config.ema)
        self.step, self.seconds = 0, 0.0
        self.pending: tuple[float, ...] = ()
        self.curve: list[dict[str, float]] = []

    def update(self, norm: float) -> None:
        rate = self.config.learning_rate * min(1.0, (self.step + 1) / max(1, self.config.warm_up))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.mean.step(self.learnt.values())
        self.step += 1

    def facts(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "seconds": self.seconds,
            "curve": self.curve,
            "pending": self.pending,
            "data": self.data.digest(),
            "provenance": dict(self.data.provenance),
            "audio_width": self.model.audio_width,
            "k": self.model.k,
            "sizes": self.model.sizes,
            "hashes": self.model.hashes,
            "codec_hashes": self.model.codec.hashes,
            "averaged": self.mean.optimization_step,
            "first": self.origin,
        }

    def save(self) -> None:
        adam = {
            f"{name}/{key}": value
            for name, parameter in self.learnt.items()
            for key, value in self.optimiser.state.get(parameter, {}).items()
        }
        mean = dict(zip(self.learnt, self.mean.shadow_params, strict=True))
        groups = {"model": self.model.state_dict(), "adam": adam, "mean": mean}
        checkpoint.save(self.folder / checkpoint.TRAINING, groups, self.config, self.facts())

    def resume(self) -> None:
        path = self.folder / checkpoint.TRAINING
        if not path.is_file():
            return
        saved = checkpoint.read(path)
        now, then = self.config.to_dict(), saved.training.to_dict()
        other = [f"{n}: {then[n]} then, {now[n]} now" for n in now if then[n] != now[n]]
        other = [text for text in other if text.split(":")[0] not in FREE]
        if saved.state["data"] != self.data.digest():
            other.append("the clips differ")
        if saved.state["first"] != self.origin:
            other.append("it began with another model")
        if other:
            raise TrainingError(
                f"portrait: {path} is of another run ({'; '.join(other)}); give another folder, "
                "or delete it to start anew"
            )
        self.model.load_state_dict(dict(saved.groups["model"]))
        device = self.config.device
        self.mean.shadow_params = [saved.groups["mean"][n].to(device) for n in self.learnt]
        self.mean.optimization_step = saved.state["averaged"]
        for name, tensor in saved.groups.get("adam", {}).items():
            parameter, _, key = name.rpartition("/")
            # AdamW keeps its count of steps on the CPU.
            where = "cpu" if key == "step" else device
            self.optimiser.state[self.learnt[parameter]][key] = tensor.to(where)
        self.step, self.seconds = saved.state["step"], saved.state["seconds"]
        self.curve, self.pending = list(saved.state["curve"]), tuple(saved.state["pending"])

    def finish(self) -> None:
        """Put the mean in the model's place, and save it."""
        self.mean.copy_to(self.learnt.values())
        groups = {"model": self.model.state_dict()}
        checkpoint.save(self.folder / checkpoint.MODEL, groups, self.config, self.facts())


def on_device(batch: PortraitBatch, device: str) -> PortraitBatch:
    """The batch's tensors where the model is."""
    if device == "cpu":
        return batch
    moved = {n: v.to(device) for n, v in vars(batch).items() if isinstance(v, Tensor)}
    return replace(batch, conditions=batch.conditions.to(device), **moved)


def check_asked(data: PortraitData, config: PortraitTraining) -> None:
    """Hold what clips tell of their emotion against what the experts read.

    Raises:
        PortraitDataError: clips tell it and nobody reads it, or the channels differ.
    """
    asked, experts = data.clips[0].asked, config.network.experts
    width, wanted = 0 if asked is None else asked.shape[1], experts.told_width if experts else 0
    if width and width != wanted:
        raise PortraitDataError(
            f"portrait: the clips tell their emotion in {width} channels, the network reads "
            f"{wanted}; make them by `told` for the network's own experts"
        )
