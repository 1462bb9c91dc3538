"""The network: noisy frames, the identity picture and the conditions in, cleaner frames out."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from jaxtyping import Float, Int
from torch import Tensor, nn

from render.diffusion.codec import codec_of
from render.diffusion.conditions import Conditions, ConditionTokens
from render.diffusion.config import NetworkConfig
from render.diffusion.experts import VideoExperts
from render.diffusion.reference import ReferenceBranch, ReferenceReader, Seen
from render.diffusion.unets import make_unets

PICTURE = "picture"
"""Name of the picture's own places in what was seen."""

NOISY, CLEAN, ABSENT = 0, 1, 2
"""State of a frame: to be denoised; a clean motion frame; a place where no motion frame is."""


class Portrait(nn.Module):
    """diffusers' UNetMotionModel, told more.

    - Spatial self-attention also reads the identity picture (`render.diffusion.reference`); its
      places are added to each frame's behind the first convolution, too: random weights learn from
      that soon, pretrained ones find it zero.
    - Cross-attention reads tokens of each frame's sound and expression.
    - Residual blocks are told the frame's conditions and state beside the step of the chain. The
      paper speaks of a "conditional residual block" that is not known to us; this one is ours.
    - Motion frames stand in front in time, clean; they are told step 0.
    - MoEE's emotion experts, where the config has them, stand beside the cross-attentions.
    """

    def __init__(
        self,
        config: NetworkConfig,
        audio: int,
        k: int,
        seed: int = 0,
        sizes: Mapping[str, Any] | None = None,
    ) -> None:
        """Make the weights, or read those of `config.unet`.

        Args:
            config: sizes.
            audio: channels of the audio feature.
            k: expression coefficients of a frame.
            seed: of the random weights.
            sizes: see `make_unets`.

        Raises:
            ConfigError: a folder cannot be used.
        """
        super().__init__()
        self.config, self.audio_width, self.k = config, audio, k
        self.codec = codec_of(config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            unets = make_unets(config, self.codec.channels, sizes)
            # Names that begin with _ say where it came from, not what it is.
            flat = unets.reference.config
            self.sizes: dict[str, Any] = {n: v for n, v in flat.items() if n[0] != "_"}
            self.hashes = unets.hashes | self.codec.hashes
            self.unet = unets.denoiser
            self.reference = ReferenceBranch(unets.reference)
            embedding = int(self.unet.time_embedding.linear_2.out_features)
            self.tokens = ConditionTokens(config, audio, k, unets.token_width, embedding)
            self.state = nn.Embedding(3, embedding)
            nn.init.zeros_(self.state.weight)
            first = self.unet.conv_in
            self.look = nn.Conv2d(first.in_channels, first.out_channels, 3, padding=1)
            nn.init.zeros_(self.look.weight)
            nn.init.zeros_(self.look.bias)  # type: ignore[arg-type]
            # Last, so that the other weights are those of a model without experts.
            widths = _cross_attentions(self.unet, config)
            self.experts = VideoExperts(config.experts, widths) if config.experts else None
        self._reader = ReferenceReader(self.unet)
        self._vector: Tensor | None = None
        self._latent: Tensor | None = None
        self._look: Tensor | None = None
        self._hook()

    def hold_all_but_experts(self) -> None:
        """MoEE's second stage: nothing else learns."""
        self.requires_grad_(False)
        if self.experts is not None:
            self.experts.requires_grad_(True)

    def see(self, picture: Float[Tensor, "batch c h w"]) -> Seen:
        """Read the identity picture: once a video."""
        return {**self.reference(picture), PICTURE: picture}

    def forward(
        self,
        noisy: Float[Tensor, "batch frames c h w"],
        step: Int[Tensor, " batch"],
        state: Int[Tensor, "batch frames"],
        conditions: Conditions,
        seen: Seen,
    ) -> Float[Tensor, "batch frames c h w"]:
        """The prediction for every frame (clean frame or v); that of motion frames means nothing.

        Args:
            noisy: places of the frames; motion frames clean, zeros where there are none.
            step: of the chain.
            state: NOISY, CLEAN or ABSENT.
            conditions: of all frames.
            seen: what `see` gave, one row a window.
        """
        told = self.tokens(conditions)
        # diffusers embeds one step a window; a frame that is clean is told so by the difference.
        embed = self.unet.time_embedding
        project = self.unet.time_proj
        offset = embed(project(torch.zeros_like(step))) - embed(project(step))
        clean = (state != NOISY)[..., None] * offset[:, None]
        self._vector = told.vector + (self.state(state) + clean).flatten(0, 1)
        self._latent = self._emotion(conditions)
        self._reader.seen, self._reader.known = seen, conditions.sees
        look = self.look(seen[PICTURE]) * conditions.sees[:, None, None, None]
        self._look = look.repeat_interleave(state.shape[1], 0)
        try:
            out = self.unet(noisy.transpose(1, 2), step, told.tokens, return_dict=False)[0]
        finally:  # hold no graph longer than it is used
            self._vector = self._latent = self._look = None
            self._reader.seen = {}
        return out.transpose(1, 2)

    def _emotion(self, c: Conditions) -> Float[Tensor, "batchframes m latent"] | None:
        """The emotion latent of all frames; None without experts."""
        if self.experts is None:
            return None
        if c.asked is None:
            width = self.experts.config.told_width
            return self.experts.latent(c.audio.new_zeros(c.expressed.numel(), width))
        return self.experts.latent((c.asked * c.feels[:, None, None]).flatten(0, 1))

    def _hook(self) -> None:
        def tell(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
            if self._vector is None:
                return None
            if "temb" in named:
                return args, named | {"temb": named["temb"] + self._vector}
            return (args[0], args[1] + self._vector, *args[2:]), named

        def mix(name: str, module: nn.Module, args: Any, out: Tensor) -> Tensor | None:
            if self.experts is None or self._latent is None:
                return None
            return out + self.experts.added(name, args[0], self._latent)

        def look(module: nn.Module, args: Any, out: Tensor) -> Tensor | None:
            return None if self._look is None else out + self._look

        self.unet.conv_in.register_forward_hook(look)
        for module in self.unet.modules():
            if isinstance(module, ResnetBlock2D):
                module.register_forward_pre_hook(tell, with_kwargs=True)
        for name in _cross_attentions(self.unet, self.config):
            self.unet.get_submodule(name).register_forward_hook(partial(mix, name))


def _cross_attentions(unet: nn.Module, config: NetworkConfig) -> dict[str, int]:
    """Channels of the cross-attentions that experts stand beside, by name; none without experts."""
    if config.experts is None:
        return {}
    return {
        name: int(module.query_dim)
        for name, module in unet.named_modules()
        if isinstance(module, Attention)
        and name.endswith(".attn2")
        and "motion_modules" not in name
        and (config.experts.where == "every" or name.startswith("mid_block."))
    }
