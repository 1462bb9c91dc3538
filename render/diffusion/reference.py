"""The reference branch: a UNet reads the identity picture, and the denoiser's self-attention reads
what that UNet's self-attention read.

AnimateAnyone's ReferenceNet (arXiv 2311.17117), as Hallo and others use it; EMOdiffhead names a
ReferenceNet, too. Layers meet by name: the denoiser's spatial layers are called as in the UNet it
is made of.
"""

from collections.abc import Mapping
from typing import Any

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.unets.unet_motion_model import UNetMotionModel
from jaxtyping import Bool, Float
from torch import Tensor, nn

Seen = Mapping[str, Tensor]
"""What each self-attention layer of the reference branch read, by the layer's name:
[batch, places, width]."""


class _Noting(AttnProcessor2_0):
    """Self-attention that notes what it reads."""

    def __init__(self, name: str, notes: dict[str, Tensor]) -> None:
        super().__init__()
        self.name, self.notes = name, notes

    def __call__(self, attn: Attention, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        self.notes[self.name] = hidden_states
        return super().__call__(attn, hidden_states, *args, **kwargs)


class _Reading(AttnProcessor2_0):
    """Self-attention with the picture's places as further keys and values."""

    def __init__(self, name: str, reader: "ReferenceReader") -> None:
        super().__init__()
        self.name, self.reader = name, reader

    def __call__(self, attn: Attention, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        places = self.reader.seen[self.name]
        frames = len(hidden_states) // len(places)
        both = torch.cat([hidden_states, places.repeat_interleave(frames, 0)], dim=1)
        mask = None
        if not self.reader.known.all():
            own = hidden_states.new_zeros(len(places), 1, hidden_states.shape[1])
            hidden = torch.where(self.reader.known, 0.0, -torch.inf).to(own)
            theirs = hidden[:, None, None].expand(-1, 1, places.shape[1])
            mask = torch.cat([own, theirs], 2).repeat_interleave(frames, 0)
        return super().__call__(attn, hidden_states, both, mask)


class ReferenceBranch(nn.Module):
    """The picture's UNet, at step 0 of the chain: the picture is clean."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        """Take over a UNet; its output layers are never needed."""
        super().__init__()
        self.unet = unet
        self._notes: dict[str, Tensor] = {}
        own = dict(unet.attn_processors)
        for name in own:
            if name.endswith("attn1.processor"):
                own[name] = _Noting(name, self._notes)
        unet.set_attn_processor(own)
        for module in (unet.conv_norm_out, unet.conv_out):
            if module is not None:
                module.requires_grad_(False)
        self.nothing_said = nn.Parameter(torch.zeros(1, 1, unet.config["cross_attention_dim"]))

    def forward(self, picture: Float[Tensor, "batch c h w"]) -> Seen:
        """What its self-attention layers read of the picture."""
        self.unet(picture, 0, self.nothing_said.expand(len(picture), -1, -1))
        seen = dict(self._notes)
        self._notes.clear()
        return seen


class ReferenceReader:
    """Makes a denoiser's spatial self-attention read `seen`, where `known`."""

    def __init__(self, denoiser: UNetMotionModel) -> None:
        """Hook into the denoiser's layers."""
        self.seen: Seen = {}
        self.known: Bool[Tensor, " batch"] = torch.zeros(0, dtype=torch.bool)
        own = dict(denoiser.attn_processors)
        for name in own:
            if name.endswith("attn1.processor") and "motion_modules" not in name:
                own[name] = _Reading(name, self)
        denoiser.set_attn_processor(own)
