# pyright: reportPrivateImportUsage=false, reportArgumentType=false
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
# pyright: reportCallIssue=false, reportPossiblyUnboundVariable=false
# pyright: reportUnnecessaryTypeIgnoreComment=false
# (diffusers' lazy names and config-made models have no types a checker can follow)
"""The network: noisy frames, the identity picture and the conditions in, cleaner frames out."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from render.diffusion.codec import codec_of
from render.diffusion.conditions import Conditions, ConditionTokens
from render.diffusion.config import NetworkConfig
from render.diffusion.reference import ReferenceBranch, ReferenceReader, Seen
from render.diffusion.unets import make_unets
from render.errors import ConfigError

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
    - `plug` puts a module after the middle block: MoEE's experts.
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
        self.after_mid: nn.Module | None = None
        self._reader = ReferenceReader(self.unet)
        self._vector: Tensor | None = None
        self._emotion: Tensor | None = None
        self._look: Tensor | None = None
        self._hook()

    def plug(self, module: nn.Module) -> None:
        """Put a module after the middle block; its weights are trained and saved with the model.

        It is called with the hidden places X [batch·frames, places, `mid_width`] and the emotion
        latent [batch·frames, m, emotion_width], and gives X' of X's shape.

        Raises:
            ConfigError: the model takes no emotion latent.
        """
        if not self.config.emotion_width:
            raise ConfigError(
                "portrait: a module after the middle block reads the emotion latent, but "
                "emotion_width is 0; set it to the latent's channels"
            )
        self.after_mid = module

    @property
    def mid_width(self) -> int:
        """Channels after the middle block."""
        return int(self.sizes["block_out_channels"][-1])

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
        self._emotion = told.emotion
        self._reader.seen, self._reader.known = seen, conditions.sees
        look = self.look(seen[PICTURE]) * conditions.sees[:, None, None, None]
        self._look = look.repeat_interleave(state.shape[1], 0)
        try:
            out = self.unet(noisy.transpose(1, 2), step, told.tokens, return_dict=False)[0]
        finally:  # hold no graph longer than it is used
            self._vector = self._emotion = self._look = None
            self._reader.seen = {}
        return out.transpose(1, 2)

    def _hook(self) -> None:
        from diffusers.models.resnet import ResnetBlock2D

        def tell(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
            if self._vector is None:
                return None
            if "temb" in named:
                return args, named | {"temb": named["temb"] + self._vector}
            return (args[0], args[1] + self._vector, *args[2:]), named

        def mix(module: nn.Module, args: Any, out: Tensor) -> Tensor | None:
            if self.after_mid is None or self._emotion is None:
                return None
            mixed = self.after_mid(out.flatten(2).transpose(1, 2), self._emotion)
            return mixed.transpose(1, 2).reshape(out.shape)

        def look(module: nn.Module, args: Any, out: Tensor) -> Tensor | None:
            return None if self._look is None else out + self._look

        self.unet.conv_in.register_forward_hook(look)
        for module in self.unet.modules():
            if isinstance(module, ResnetBlock2D):
                module.register_forward_pre_hook(tell, with_kwargs=True)
        self.unet.mid_block.register_forward_hook(mix)
