"""The engine on any device: the whole step (rays, march, field, loss, Adam, occupancy) stays there.

On CUDA with `graphs` the two halves of a step are captured once and replayed: a step is then two
launches, whatever it holds.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from render.cameras import Box
from render.engine_types import PictureRays, StepPlan
from render.errors import BackendError
from render.field import Field
from render.fused import StepReport
from render.head_config import HeadConfig
from render.head_data import HeadData
from render.torch_adam import FlatAdam
from render.torch_draw import DeviceSampler
from render.torch_field import TorchField
from render.torch_march import march
from render.torch_occupancy import DeviceOccupancy
from render.torch_rays import RayTensors, batch_loss, shade

PULLED, LEAST_PULLED = 1 << 14, 1 << 8
"""Rays of a whole head whose gradients are computed at a time: what bounds the memory. Halved where
it runs out, down to the second."""


class TorchEngine:
    """See `render.engine.Engine`."""

    def __init__(
        self,
        config: HeadConfig,
        data: HeadData,
        box: Box,
        hull: Bool[np.ndarray, "z y x"],
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Fresh parameters, data on the device."""
        if config.graphs and device.type != "cuda":
            raise BackendError(f"graphs = true needs CUDA, the device is {device}; leave it out")
        self.config = config
        self.waits = device.type != "cpu"
        self.field = TorchField(Field(config.field, config.seed), device, config.precision, dtype)
        if config.compile:
            compiled: Any = torch.compile(self.field.field, dynamic=not config.graphs)
            self.field.module = compiled
        self.occupancy = DeviceOccupancy(config.occupancy, hull, device)
        self.sampler = DeviceSampler(data, box, config.sampling, config.seed, device)
        self.adam = FlatAdam(self.field, config)
        # Everything a replayed graph reads or writes besides the parameters.
        self.number = torch.zeros((), dtype=torch.int64, device=device)
        self.fade = torch.zeros((), device=device)
        self.ema_decay = torch.zeros((), device=device)
        self.totals = torch.zeros(5, dtype=torch.float64, device=device)
        self.pulled = PULLED
        self._graphs: dict[tuple[int, float], torch.cuda.CUDAGraph] = {}
        self._descent: torch.cuda.CUDAGraph | None = None

    def gradients(self, plan: StepPlan) -> None:
        """Draw the step's rays and add the gradients of their loss."""
        self.number.fill_(plan.number)
        self.fade.fill_(plan.fade)
        self.ema_decay.fill_(plan.ema_decay)
        try:
            if not self.config.graphs:
                self.add(self.sampler.draw(self.number, plan.rays), plan.march_step)
                return
            room = plan.rays * self.config.graph_samples

            def body() -> None:
                self.add(self.sampler.draw(self.number, plan.rays), plan.march_step, room)

            key = (plan.rays, plan.march_step)
            if key not in self._graphs:
                self._graphs = {key: self._captured(body)}
            self._graphs[key].replay()
        except torch.OutOfMemoryError as error:
            self.field.grad.zero_()
            self._graphs = {}
            torch.cuda.empty_cache()
            raise MemoryError(str(error).splitlines()[0]) from error

    def add(self, batch: RayTensors, march_step: float, room: int | None = None) -> None:
        """Add the gradients of a batch's loss; room: samples it may have (None: all)."""
        config = self.config
        samples = march(
            batch.origins,
            batch.directions,
            batch.jitter,
            self.occupancy.mask,
            march_step,
            config.max_samples,
            room,
        )
        with self.field.mixed():
            shaded = shade(
                self.field.module,
                samples,
                batch.origins,
                batch.directions,
                batch.alpha,
                march_step,
                self.field.codes_of(batch.frame),
            )
        loss, squared = batch_loss(
            shaded, batch, march_step, config.opacity_weight, config.distortion_weight
        )
        loss.backward()
        self.occupancy.see(shaded.x, shaded.weights)
        dropped = (samples.wanted - len(samples.t)).clamp(min=0)
        parts = (loss.detach(), squared, samples.wanted, samples.hit, dropped)
        self.totals += torch.stack([x.double() for x in parts])

    def picture(self, rays: PictureRays, march_step: float) -> Float[np.ndarray, "rays 3"]:
        """Colour of the rays over their background."""
        o, d, alpha, background = self._put(rays)
        out, _ = self.field.render_tensors(o, d, alpha, self.occupancy.mask, march_step)
        return (out[:, :3] + (1 - out[:, 3:]) * background).cpu().numpy()

    def pull(
        self, rays: PictureRays, gradient: Float[np.ndarray, "rays 3"], march_step: float
    ) -> None:
        """Add the gradients of sum(gradient · picture): the picture is computed once more."""
        o, d, alpha, background = self._put(rays)
        wanted = torch.from_numpy(np.ascontiguousarray(gradient)).to(o)
        kept = self.field.grad.clone()
        while True:
            try:
                for begin in range(0, len(o), self.pulled):
                    part = slice(begin, begin + self.pulled)
                    out = self.field.shade_chunk(
                        o[part], d[part], alpha[part], self.occupancy.mask, march_step
                    )
                    shown = out[:, :3] + (1 - out[:, 3:]) * background[part]
                    if shown.requires_grad:  # some ray met the head
                        (shown * wanted[part]).sum().backward()
                break
            except torch.OutOfMemoryError as error:
                self.field.grad.copy_(kept)
                self.pulled //= 2
                if self.pulled < LEAST_PULLED:
                    raise MemoryError(str(error).splitlines()[0]) from error
        if codes := self.field.segments.get("codes"):
            # Whole heads wear the mean appearance; no frame's own code is to learn from them.
            self.field.grad[slice(*codes)] = kept[slice(*codes)]

    def descend(self, plan: StepPlan) -> None:
        """One Adam step with what was added; keep the running mean and the occupancy."""

        def body() -> None:
            self.adam.step((self.number + 1).float(), self.fade, self.ema_decay)

        if self.config.graphs:
            if self._descent is None:
                self._descent = self._captured(body)
            self._descent.replay()
        else:
            body()
        if (plan.number + 1) % self.config.occupancy.every == 0:
            self.occupancy.update(plan.number + 1)

    def sums(self) -> StepReport:
        """Sums over the steps since this was last asked; waits for the device."""
        loss, squared, samples, hit, dropped = self.totals.tolist()
        self.totals.zero_()
        return StepReport(loss, squared, int(samples), int(hit), int(dropped))

    def mask(self) -> Bool[np.ndarray, "z y x"]:
        """The cells marching visits now."""
        return self.occupancy.mask.cpu().numpy()

    def preview(self) -> TorchField:
        """What renders the head as it is now."""
        return self.field

    def mean_theta(self) -> Float[np.ndarray, " n"]:
        """The running mean of the parameters."""
        return self.adam.ema.float().cpu().numpy()

    def finish(self) -> TorchField:
        """Let the running mean be the parameters; what renders the head."""
        self.field.theta.copy_(self.adam.ema)
        return self.field

    def state(self) -> dict[str, np.ndarray]:
        """Arrays a checkpoint holds."""
        tensors = {
            "theta": self.field.theta,
            "first": self.adam.first,
            "second": self.adam.second,
            "ema": self.adam.ema,
            "occupancy": self.occupancy.values,
            "occupied": self.occupancy.mask.to(torch.uint8),
            "seen": self.occupancy.seen,
        }
        return {name: tensor.cpu().numpy() for name, tensor in tensors.items()}

    def load(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from a state of either engine."""
        for name, tensor in (
            ("theta", self.field.theta),
            ("first", self.adam.first),
            ("second", self.adam.second),
            ("ema", self.adam.ema),
            ("occupancy", self.occupancy.values),
            ("occupied", self.occupancy.mask),
            ("seen", self.occupancy.seen),
        ):
            tensor.copy_(torch.from_numpy(arrays[name]))

    def _put(self, rays: PictureRays) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        theta = self.field.theta
        o, d, alpha, background = (
            torch.from_numpy(np.ascontiguousarray(x)).to(theta)
            for x in (rays.origins, rays.directions, rays.alpha, rays.background)
        )
        return o, d, alpha, background

    def _captured(self, body: Callable[[], None]) -> "torch.cuda.CUDAGraph":
        """The work as a graph. What warming up changed is put back."""
        tensors = [self.field.theta, self.field.grad, self.adam.first, self.adam.second]
        tensors += [self.adam.ema, self.occupancy.seen, self.totals]
        kept = [tensor.clone() for tensor in tensors]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                body()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            body()
        for tensor, value in zip(tensors, kept, strict=True):
            tensor.copy_(value)
        return graph
