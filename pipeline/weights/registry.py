"""The weights emohead knows: where they come from, under which licence, what they must look like.

Nothing is downloaded: most of these are behind a form, a licence or a login. `emohead weights add`
takes what the user has fetched, holds it against this table and records its hashes.
"""

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "3ddfa", "lmk68", "bisenet", "landmarker", "hubert", "emotion2vec", "funasr", "causal_lm",
    "syncnet", "alexnet", "fid_inception", "face_api", "clip", "deca",
]  # fmt: skip
"""What can load a weight; an encoder or a metric asks for a kind, any name of it will do."""

HUGGING_FACE = (
    *("config.json", "generation_config.json", "preprocessor_config.json", "tokenizer*"),
    *("special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt"),
    *("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin*"),
)
FUNASR = (
    *("config.yaml", "configuration.json", "model.pt", "tokens.txt", "tokens.json", "am.mvn"),
    *("seg_dict", "*.bpe.model", "bpe.model"),
)
_HF_MODEL = (
    *("model.safetensors", "model.safetensors.index.json"),
    *("pytorch_model.bin", "pytorch_model.bin.index.json"),
)


@dataclass(frozen=True)
class Weight:
    """One entry of the table."""

    name: str
    kind: Kind
    what: str
    """What it is for, in words."""
    source: str
    """Where the user gets it."""
    licence: str
    needs: tuple[tuple[str, ...], ...]
    """Files that must be there; of each group of alternatives one."""
    takes: tuple[str, ...] = ()
    """Patterns of further files that are taken along."""
    sha256: dict[str, str] = field(default_factory=dict)
    """Known hashes by file name; a file without one is recorded as it comes."""


_TDDFA_STATISTICS = "param_mean_std_62d_120x120"
_TDDFA_HASHES = {
    "mb05_120x120.pth": "f93ed7f1c4c0382b16d7c18480a5f67473c1917a47475a9823924f38aeb27280",
    f"{_TDDFA_STATISTICS}.pkl": "090d7150f77cb66c29ddae21e4508fbde59123dcd1dea7facc24a7ed06d1c795",
}


def _tddfa(width: str) -> Weight:
    return Weight(
        name=f"3ddfa_{width}",
        kind="3ddfa",
        what=f"3DDFA_V2 regressor ({width}): expression, shape and pose of a face",
        source="https://github.com/cleardusk/3DDFA_V2 (weights/ and configs/)",
        licence="MIT",
        needs=(
            (f"{width}_120x120.pth", f"{width}_120x120.onnx"),
            (f"{_TDDFA_STATISTICS}.pkl", f"{_TDDFA_STATISTICS}.npz"),
        ),
        sha256=_TDDFA_HASHES,
    )


_ENTRIES = (
    _tddfa("mb05"),
    _tddfa("mb1"),
    Weight(
        name="3ddfa_lmk68",
        kind="lmk68",
        what="68-point part of the 3DDFA face basis: landmarks from the coefficients",
        source="https://github.com/cleardusk/3DDFA (c++/weights/u_base.txt, w_shp_base.txt, "
        "w_exp_base.txt, together as arrays u_base, w_shp_base, w_exp_base of one .npz)",
        licence="BFM: academic use",
        needs=(("lmk68_basis.npz",),),
    ),
    Weight(
        name="deca",
        kind="deca",
        what="DECA: expression, jaw, shape and pose of the FLAME head model",
        source="https://github.com/yfeng95/DECA (deca_model.tar, after registration)",
        licence="Max Planck: non-commercial research",
        needs=(("deca_model.tar",),),
    ),
    Weight(
        name="bisenet",
        kind="bisenet",
        what="BiSeNet face parsing, 19 CelebAMask-HQ classes",
        source="https://github.com/zllrunning/face-parsing.PyTorch (79999_iter.pth)",
        licence="MIT (code); trained on CelebAMask-HQ: non-commercial research",
        needs=(("79999_iter.pth", "79999_iter.onnx"),),
    ),
    Weight(
        name="face_landmarker",
        kind="landmarker",
        what="MediaPipe Tasks FaceLandmarker: 478 points and 52 blendshapes",
        source="https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/"
        "float16/1/face_landmarker.task",
        licence="Apache-2.0",
        needs=(("face_landmarker.task",),),
        sha256={
            "face_landmarker.task": (
                "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
            )
        },
    ),
    Weight(
        name="hubert_base",
        kind="hubert",
        what="HuBERT-base: speech features, 768 channels at 50 Hz",
        source="https://huggingface.co/facebook/hubert-base-ls960",
        licence="Apache-2.0",
        needs=(("config.json",), _HF_MODEL),
        takes=HUGGING_FACE,
    ),
    Weight(
        name="emotion2vec_base",
        kind="emotion2vec",
        what="emotion2vec-base: how something is said, 768 channels at 50 Hz",
        source="https://huggingface.co/emotion2vec/emotion2vec_base",
        licence="as the model card says",
        needs=(("config.yaml",), ("model.pt",)),
        takes=FUNASR,
    ),
    Weight(
        name="sensevoice_small",
        kind="funasr",
        what="SenseVoiceSmall: words and their times (zh, en, yue, ja, ko)",
        source="https://huggingface.co/FunAudioLLM/SenseVoiceSmall",
        licence="FunASR model licence",
        needs=(("config.yaml",), ("model.pt",), ("am.mvn",), ("*.bpe.model", "bpe.model")),
        takes=FUNASR,
    ),
    Weight(
        name="paraformer_zh",
        kind="funasr",
        what="Paraformer-zh with timestamps: Chinese words and their times",
        source="https://huggingface.co/funasr/paraformer-zh",
        licence="FunASR model licence",
        needs=(("config.yaml",), ("model.pt",), ("am.mvn",), ("tokens.json", "tokens.txt")),
        takes=FUNASR,
    ),
    Weight(
        name="llama2_7b",
        kind="causal_lm",
        what="LLaMA2-7B (or any Hugging Face causal LM): what is said, 4096 channels a token",
        source="https://huggingface.co/meta-llama/Llama-2-7b-hf",
        licence="Llama 2 Community License (a form to fill in)",
        needs=(("config.json",), _HF_MODEL, ("tokenizer.json",)),
        takes=HUGGING_FACE,
    ),
    Weight(
        name="clip_rn50",
        kind="clip",
        what="CLIP-RN50 in open_clip's format: whether a rendered head shows its emotion (L_cord)",
        source="https://huggingface.co/timm/resnet50_clip.openai",
        licence="MIT",
        needs=(
            ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
            ("vocab.json",),
            ("merges.txt",),
        ),
    ),
    Weight(
        name="syncnet",
        kind="syncnet",
        what="SyncNet: whether lips and sound belong together (metrics LSE-C, LSE-D)",
        source="https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
        licence="as its page says (code: MIT)",
        needs=(("syncnet_v2.model",),),
    ),
    Weight(
        name="alexnet",
        kind="alexnet",
        what="AlexNet of torchvision: layers of the metric LPIPS",
        source="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        licence="BSD-3-Clause (torchvision); trained on ImageNet",
        needs=(("alexnet-owt-*.pth",),),
    ),
    Weight(
        name="fid_inception",
        kind="fid_inception",
        what="Inception-v3 with TensorFlow's weights: features of the metric FID",
        source="https://github.com/mseitzer/pytorch-fid/releases (fid_weights: "
        "pt_inception-2015-12-05-6726825d.pth)",
        licence="Apache-2.0",
        needs=(("pt_inception-2015-12-05-*.pth", "weights-inception-2015-12-05-*.pth"),),
    ),
    Weight(
        name="face_api",
        kind="face_api",
        what="face-api.js expression net, 7 classes: judge of the metric ER",
        source="https://github.com/justadudewhohacks/face-api.js (weights/face_expression_model*)",
        licence="MIT",
        needs=(
            ("face_expression_model-weights_manifest.json",),
            ("face_expression_model.bin", "face_expression_model-shard1"),
        ),
    ),
)

KNOWN: dict[str, Weight] = {entry.name: entry for entry in _ENTRIES}
"""The table by name."""
