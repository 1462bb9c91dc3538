"""CLIP-RN50: what a picture shows, and what words say, as unit vectors of one space.

Networks written anew after Radford et al. 2021 (arXiv 2103.00020) with the tensor names of the
published weights as open_clip stores them (mlfoundations/open_clip: src/open_clip/
modified_resnet.py, transformer.py, model_configs/RN50.json; MIT), so that those load. Gradients
pass through. Reading needs no package beyond torch and transformers' tokeniser.
"""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import WeightError
from pipeline.weights.loading import fill, torch_state

SIDE = 224
"""Pixels of the picture the network looks at."""
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
WORDS = 77
"""Tokens of a text, padded with zeros."""
FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""The weights' file in a folder of the model hub."""
_NUMBERS = ("input_resolution", "context_length", "vocab_size")
"""Sizes that OpenAI's own file carries among its tensors."""


class Bottleneck(nn.Module):
    """Three convolutions beside a shortcut; where it strides, both average first."""

    def __init__(self, taken: int, width: int, stride: int) -> None:
        """`taken` channels in, 4 `width` out."""
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(taken, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.downsample = None
        if stride > 1 or taken != 4 * width:
            self.downsample = nn.Sequential()
            self.downsample.add_module("-1", nn.AvgPool2d(stride))
            self.downsample.add_module("0", nn.Conv2d(taken, 4 * width, 1, bias=False))
            self.downsample.add_module("1", nn.BatchNorm2d(4 * width))

    def forward(self, x: Tensor) -> Tensor:
        """[N, taken, H, W] to [N, 4 width, H / stride, W / stride]."""
        h = self.bn1(self.conv1(x)).relu()
        h = self.pool(self.bn2(self.conv2(h)).relu())
        h = self.bn3(self.conv3(h))
        return (h + (x if self.downsample is None else self.downsample(x))).relu()


class AttentionPool(nn.Module):
    """The mean of all places asks the places: attention with one query."""

    def __init__(self, side: int, width: int, heads: int, out: int) -> None:
        """`side`² places of `width` channels to `out` values."""
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.randn(side**2 + 1, width) / width**0.5)
        self.k_proj, self.q_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.v_proj, self.c_proj = nn.Linear(width, width), nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        """[N, width, side, side] to [N, out]."""
        n, width = x.shape[:2]
        places = x.flatten(2).transpose(1, 2)
        places = torch.cat([places.mean(1, keepdim=True), places], 1) + self.positional_embedding

        def split(t: Tensor) -> Tensor:
            return t.view(n, -1, self.heads, width // self.heads).transpose(1, 2)

        q, k, v = (
            split(f(t))
            for f, t in (
                (self.q_proj, places[:, :1]),
                (self.k_proj, places),
                (self.v_proj, places),
            )
        )
        seen = functional.scaled_dot_product_attention(q, k, v)
        return self.c_proj(seen.transpose(1, 2).reshape(n, width))


class PictureEncoder(nn.Module):
    """The ResNet-50 of CLIP: three convolutions at its root, attention at its top."""

    def __init__(self, width: int = 64, blocks: tuple[int, ...] = (3, 4, 6, 3), out: int = 1024):
        """The published sizes; smaller ones serve tests."""
        super().__init__()
        half = width // 2
        self.conv1 = nn.Conv2d(3, half, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, half, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        taken = width
        for stage, count in enumerate(blocks):
            wide = width * 2**stage
            layers = []
            for block in range(count):
                layers.append(Bottleneck(taken, wide, 2 if stage and not block else 1))
                taken = 4 * wide
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.stages = len(blocks)
        self.attnpool = AttentionPool(SIDE // 32, taken, width // 2, out)

    def forward(self, x: Float[Tensor, "n 3 224 224"]) -> Float[Tensor, "n out"]:
        """Normalised pictures to vectors (not yet of unit length)."""
        for i in (1, 2, 3):
            x = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x)).relu()
        x = functional.avg_pool2d(x, 2)
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.attnpool(x)


class TextBlock(nn.Module):
    """Attention to earlier words, then a two-layer network, each on normalised input."""

    def __init__(self, width: int, heads: int) -> None:
        """Names of the parts are those of the weights."""
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, 4 * width))
        self.mlp.add_module("gelu", QuickGelu())
        self.mlp.add_module("c_proj", nn.Linear(4 * width, width))

    def forward(self, x: Tensor, later: Tensor) -> Tensor:
        """[N, words, width]."""
        h = self.ln_1(x)
        x = x + self.attn(h, h, h, need_weights=False, attn_mask=later)[0]
        return x + self.mlp(self.ln_2(x))


class QuickGelu(nn.Module):
    """x sigmoid(1.702 x), with which OpenAI's weights were trained."""

    def forward(self, x: Tensor) -> Tensor:
        """Element by element."""
        return x * torch.sigmoid(1.702 * x)


class Clip(nn.Module):
    """Both encoders, with the names of an open_clip state dictionary."""

    def __init__(
        self,
        visual: PictureEncoder | None = None,
        vocabulary: int = 49408,
        width: int = 512,
        heads: int = 8,
        layers: int = 12,
        out: int = 1024,
    ) -> None:
        """The sizes of RN50; smaller ones serve tests."""
        super().__init__()
        self.visual = visual or PictureEncoder()
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.positional_embedding = nn.Parameter(torch.randn(WORDS, width) * 0.01)
        blocks = nn.ModuleList(TextBlock(width, heads) for _ in range(layers))
        self.transformer = nn.ModuleDict({"resblocks": blocks})
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.randn(width, out) * width**-0.5)
        self.logit_scale = nn.Parameter(torch.zeros(()))

    def see(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n out"]:
        """Unit vectors of RGB pictures in [0, 1] of any size; differentiable."""
        mean = torch.tensor(MEAN, device=pictures.device)[:, None, None]
        std = torch.tensor(STD, device=pictures.device)[:, None, None]
        x = functional.interpolate(
            pictures, (SIDE, SIDE), mode="bicubic", align_corners=False, antialias=True
        )
        return functional.normalize(self.visual((x - mean) / std), dim=1)

    def read(self, tokens: Int[Tensor, "n 77"]) -> Float[Tensor, "n out"]:
        """Unit vectors of texts; a text ends at its largest token, which is the end's."""
        x = self.token_embedding(tokens) + self.positional_embedding
        later = torch.full((WORDS, WORDS), float("-inf"), device=x.device).triu(1)
        blocks: Any = self.transformer["resblocks"]
        for block in blocks:
            x = block(x, later)
        x = self.ln_final(x)[torch.arange(len(x), device=x.device), tokens.argmax(1)]
        return functional.normalize(x @ self.text_projection, dim=1)


def load_clip(folder: Path) -> Clip:
    """The networks of a folder in open_clip's format, in evaluation mode, without gradients of
    their own.

    Raises:
        WeightError: no weights there, or of another network.
    """
    path = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if path is None:
        raise WeightError(f"{folder} has neither {' nor '.join(FILES)}")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state: dict[str, Any] = load_file(path)
    else:
        state = torch_state(path)
    clip = shaped_as(state, path.name)
    # Counters of training steps: some files carry them, some do not; nothing here reads them.
    state = {k: v for k, v in state.items() if k not in _NUMBERS}
    state |= {k: v for k, v in clip.state_dict().items() if k.endswith("num_batches_tracked")}
    fill(clip, state, path.name)
    return clip.eval().requires_grad_(False)


def shaped_as(state: dict[str, Any], where: str) -> Clip:
    """Fresh networks of the sizes that a state dictionary tells.

    Raises:
        WeightError: it is not of a CLIP with a ResNet (those with a ViT see differently).
    """
    wanted = ("visual.layer1.0.conv1.weight", "token_embedding.weight", "text_projection")
    lacking = [name for name in wanted if name not in state]
    if lacking:
        raise WeightError(f"{where} is no CLIP-RN50: it has no {', '.join(lacking)}")

    def count(prefix: str) -> int:
        own = (key.removeprefix(prefix) for key in state if key.startswith(prefix))
        return len({key.split(".")[0] for key in own})

    words, width = state["token_embedding.weight"].shape
    out = state["text_projection"].shape[1]
    blocks = tuple(count(f"visual.layer{i}.") for i in (1, 2, 3, 4))
    picture = PictureEncoder(state[wanted[0]].shape[0], blocks, out)
    layers = count("transformer.resblocks.")
    return Clip(picture, words, width, max(width // 64, 1), layers, out)


def tokens_of(texts: list[str], folder: Path) -> Int[Tensor, "n 77"]:
    """Token numbers by the folder's vocab.json and merges.txt.

    Raises:
        WeightError: a file is missing, or a text is longer than 77 tokens.
    """
    for name in ("vocab.json", "merges.txt"):
        if not (folder / name).is_file():
            raise WeightError(f"{folder} has no {name}: CLIP's words cannot be read without it")
    from transformers import CLIPTokenizer

    tokenizer: Any = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    out = torch.zeros(len(texts), WORDS, dtype=torch.int64)
    for i, text in enumerate(texts):
        ids = tokenizer(text)["input_ids"]
        if len(ids) > WORDS:
            raise WeightError(f"text of {len(ids)} tokens, CLIP reads {WORDS}: {text[:60]!r}")
        out[i, : len(ids)] = torch.tensor(ids)
    return out
