"""Losses on whole heads: CLIP in its real format, 3DDFA's shape, the stage in a training run."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipeline.errors import WeightError
from pipeline.face.ddfa_net import MobileNet
from pipeline.weights import Shelf
from render.cameras import head_box
from render.clip_rn50 import Clip, PictureEncoder, load_clip, tokens_of
from render.engine_types import PictureEngine
from render.errors import ConfigError
from render.field import FieldConfig
from render.hash_grid_config import HashGridConfig
from render.head_config import HeadConfig, RefineConfig
from render.head_data import HeadData
from render.masks import head_mask
from render.occupancy import OccupancyConfig
from render.refine import Refiner
from render.shape_reader import ShapeReader, face_square
from render.trainer import train_head

Maker = Callable[[int, int], HeadData]

CONFIG = HeadConfig(
    field=FieldConfig(
        HashGridConfig(4, 2, 10, base_resolution=6, growth=1.5),
        expression_resolution=6,
        ambient=2,
        geometry=8,
        density_width=16,
        colour_width=16,
        sh_degree=2,
    ),
    occupancy=OccupancyConfig(resolution=16),
    refine=RefineConfig(every=2, size=32),
    steps=8,
    rays=96,
    march_steps=24,
    coarse_march_steps=24,
    threads=1,
    report_every=4,
)


def tiny_clip() -> Clip:
    torch.manual_seed(0)
    return Clip(PictureEncoder(8, (1, 1, 1, 1), 24), 600, 64, 1, 2, 24).eval()


def weights_folder(folder: Path, clip: Clip) -> Path:
    """The files of a model-hub folder: weights by open_clip's names, words in their own files."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.contiguous() for k, v in clip.state_dict().items()}
    state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    save_file(state, folder / "open_clip_model.safetensors")
    letters = [chr(c) for c in range(33, 127)]
    merges = ["h a", "ha p", "hap p", "happ y</w>", "s a", "sa d</w>"]
    words = letters + [f"{c}</w>" for c in letters] + ["".join(m.split()) for m in merges]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: i for i, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    return folder


def test_the_published_network_has_its_published_size() -> None:
    with torch.device("meta"):
        clip = Clip()
    # What open_clip counts for RN50, and the corners of its state dictionary.
    assert sum(p.numel() for p in clip.parameters()) == 102_007_137
    shapes = {k: tuple(v.shape) for k, v in clip.state_dict().items()}
    expected = {
        "visual.conv1.weight": (32, 3, 3, 3),
        "visual.conv3.weight": (64, 32, 3, 3),
        "visual.layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "visual.layer4.2.bn3.weight": (2048,),
        "visual.attnpool.positional_embedding": (50, 2048),
        "visual.attnpool.c_proj.weight": (1024, 2048),
        "token_embedding.weight": (49408, 512),
        "positional_embedding": (77, 512),
        "transformer.resblocks.11.attn.in_proj_weight": (1536, 512),
        "transformer.resblocks.0.mlp.c_fc.weight": (2048, 512),
        "ln_final.bias": (512,),
        "text_projection": (512, 1024),
        "logit_scale": (),
    }
    assert {name: shapes.get(name) for name in expected} == expected


def test_weights_in_the_real_format_load_and_a_wrong_one_says_so(tmp_path: Path) -> None:
    clip = tiny_clip()
    folder = weights_folder(tmp_path / "clip", clip)
    again = load_clip(folder)
    x = torch.rand(2, 3, 50, 40)
    torch.testing.assert_close(again.see(x), clip.see(x).detach())
    torch.testing.assert_close(again.see(x).norm(dim=1), torch.ones(2))
    assert not any(p.requires_grad for p in again.parameters())

    save_file({"visual.conv1.weight": torch.zeros(3)}, folder / "open_clip_model.safetensors")
    with pytest.raises(WeightError, match="is no CLIP-RN50: it has no visual"):
        load_clip(folder)
    (folder / "open_clip_model.safetensors").unlink()
    with pytest.raises(WeightError, match="has neither open_clip_model"):
        load_clip(folder)


def test_words_are_read_as_transformers_reads_them(tmp_path: Path) -> None:
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    clip = tiny_clip()
    folder = weights_folder(tmp_path / "clip", clip)
    tokens = tokens_of(["happy", "Sad", "a happy face"], folder)
    end = int(tokens.max())
    assert tokens.shape == (3, 77)
    assert tokens[0, :3].tolist() == [end - 1, 191, end]
    assert not tokens[0, 3:].any()
    config = CLIPTextConfig(
        vocab_size=600,
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=1,
        max_position_embeddings=77,
        hidden_act="quick_gelu",
        projection_dim=24,
        eos_token_id=end,
        bos_token_id=end - 1,
        pad_token_id=0,
    )
    theirs: Any = CLIPTextModelWithProjection(config).eval()
    s = clip.state_dict()
    ours = {
        "text_model.embeddings.token_embedding.weight": s["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": s["positional_embedding"],
        "text_model.final_layer_norm.weight": s["ln_final.weight"],
        "text_model.final_layer_norm.bias": s["ln_final.bias"],
        "text_projection.weight": s["text_projection"].T,
    }
    for i in range(2):
        block, layer = f"transformer.resblocks.{i}", f"text_model.encoder.layers.{i}"
        for part in ("weight", "bias"):
            thirds = s[f"{block}.attn.in_proj_{part}"].chunk(3)
            for name, value in zip("qkv", thirds, strict=True):
                ours[f"{layer}.self_attn.{name}_proj.{part}"] = value
            ours[f"{layer}.self_attn.out_proj.{part}"] = s[f"{block}.attn.out_proj.{part}"]
            ours[f"{layer}.layer_norm1.{part}"] = s[f"{block}.ln_1.{part}"]
            ours[f"{layer}.layer_norm2.{part}"] = s[f"{block}.ln_2.{part}"]
            ours[f"{layer}.mlp.fc1.{part}"] = s[f"{block}.mlp.c_fc.{part}"]
            ours[f"{layer}.mlp.fc2.{part}"] = s[f"{block}.mlp.c_proj.{part}"]
    missing, surplus = theirs.load_state_dict(ours, strict=False)
    assert not surplus
    assert not [name for name in missing if "position_ids" not in name]
    with torch.no_grad():
        wanted = theirs(input_ids=tokens).text_embeds
        got = clip.read(tokens)
    torch.testing.assert_close(
        got, torch.nn.functional.normalize(wanted, dim=1), atol=1e-5, rtol=1e-4
    )
    with pytest.raises(WeightError, match="CLIP reads 77"):
        tokens_of(["sad " * 90], folder)


def test_a_pictures_places_are_asked_by_their_mean() -> None:
    pool = tiny_clip().visual.attnpool
    x = torch.randn(2, 256, 7, 7)
    places = x.flatten(2).permute(2, 0, 1)
    places = torch.cat([places.mean(0, keepdim=True), places]) + pool.positional_embedding[:, None]
    # The second route: PyTorch's own attention, as CLIP's code calls it.
    wanted, _ = torch.nn.functional.multi_head_attention_forward(
        query=places[:1],
        key=places,
        value=places,
        embed_dim_to_check=256,
        num_heads=pool.heads,
        q_proj_weight=pool.q_proj.weight,
        k_proj_weight=pool.k_proj.weight,
        v_proj_weight=pool.v_proj.weight,
        in_proj_weight=None,
        in_proj_bias=torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=pool.c_proj.weight,
        out_proj_bias=pool.c_proj.bias,
        use_separate_proj_weight=True,
        need_weights=False,
    )
    torch.testing.assert_close(pool(x), wanted[0], atol=1e-5, rtol=1e-4)


def shelf_with(tmp_path: Path, clip: bool, shapes: bool) -> Shelf:
    shelf = Shelf(tmp_path / "shelf")
    if clip:
        shelf.add("clip_rn50", weights_folder(tmp_path / "clip", tiny_clip()))
    if shapes:
        folder = tmp_path / "tddfa"
        folder.mkdir()
        torch.manual_seed(1)
        network = MobileNet(0.5)
        for part in network.modules():  # PyTorch's own start fades out over so many layers
            if isinstance(part, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(part.weight)
        torch.save(network.state_dict(), folder / "mb1_120x120.pth")
        mean, std = np.zeros(62, np.float32), np.full(62, 1e5, np.float32)
        np.savez(folder / "param_mean_std_62d_120x120.npz", mean=mean, std=std)
        shelf.add("3ddfa_small", folder, like="3ddfa_mb1")
    return shelf


@pytest.fixture
def data(make_head_data: Maker) -> HeadData:
    whole = make_head_data(60, 3)
    return replace(whole, tags=tuple("happy" if i % 2 else "sad" for i in range(60)))


def refiner_of(data: HeadData, shelf: Shelf, **changes: Any) -> Refiner:
    train = data.training()
    box = head_box(head_mask(train.labels), train.cameras, train.focal)
    refine = RefineConfig(every=2, size=32, regressor="3ddfa_small", **changes)
    return Refiner.of(replace(CONFIG, refine=refine), train, box, shelf)


class Pictures:
    """An engine whose parameters are the picture's pixels themselves."""

    def __init__(self, size: int) -> None:
        self.pixels = np.random.default_rng(0).uniform(size=(size * size, 3)).astype(np.float32)
        self.pulled = np.zeros_like(self.pixels)

    def picture(self, rays: Any, march_step: float) -> np.ndarray:
        return self.pixels

    def pull(self, rays: Any, gradient: np.ndarray, march_step: float) -> None:
        self.pulled += gradient


def test_the_gradient_of_both_losses_is_that_of_equation_16(data: HeadData, tmp_path: Path) -> None:
    shelf = shelf_with(tmp_path, clip=True, shapes=True)
    refiner = refiner_of(data, shelf, cord=0.5, shape=2e-6)
    assert refiner.notes == []
    assert refiner.due(4, 0.6)
    assert not refiner.due(5, 0.6)  # every second step
    assert not refiner.due(4, 0.4)  # in the second half
    engine: Any = Pictures(32)
    told = refiner.pull(engine, 4, 1 / 24)
    assert -1 <= told["cord"] <= 1
    assert told["shape"] > 0
    # Against the loss itself: a step along the gradient changes it by |gradient|² h, of every 2nd.
    i = int(np.random.default_rng((0, 4, 2)).integers(len(refiner.data.frames)))
    _, truth = refiner.rays(i, 32)

    def loss_at(pixels: np.ndarray) -> tuple[float, dict[str, float]]:
        picture = torch.from_numpy(pixels.reshape(32, 32, 3)).permute(2, 0, 1)
        loss, terms = refiner.losses(picture, truth, i)
        assert loss is not None
        return float(loss), terms

    before, terms = loss_at(engine.pixels)
    assert before == pytest.approx(0.5 * terms["cord"] + 2e-6 * terms["shape"], rel=1e-4)
    g = engine.pulled / 2
    h = 1e-2 / np.linalg.norm(g)
    after = loss_at(engine.pixels + np.float32(h) * g)[0]
    assert (after - before) / h == pytest.approx(float((g**2).sum()), rel=0.1)


def test_what_has_no_weights_is_left_out_and_said(data: HeadData, tmp_path: Path) -> None:
    none = refiner_of(data, Shelf(tmp_path / "empty"))
    assert not none.due(4, 0.9)
    assert [note.split(":")[0] for note in none.notes] == ["L_cord left out", "L_shape left out"]
    assert "emohead weights add clip_rn50 PATH" in none.notes[0]
    config = replace(CONFIG, refine=RefineConfig())
    missing = Refiner.missing(config, data, Shelf(tmp_path / "empty"))
    assert [note.split(":")[0] for note in missing] == ["L_cord left out", "L_shape left out"]
    assert Refiner.missing(replace(CONFIG, refine=None), data) == []
    untagged = refiner_of(replace(data, tags=()), shelf_with(tmp_path, clip=True, shapes=False))
    assert untagged.notes[0] == "L_cord left out: no frame has an emotion tag"


def test_a_run_refines_in_its_second_half(
    data: HeadData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = shelf_with(tmp_path, clip=True, shapes=True)
    monkeypatch.setenv("EMOHEAD_WEIGHTS", str(shelf.folder))
    steps: list[int] = []
    real = Refiner.pull

    def seen(
        self: Refiner, engine: PictureEngine, step: int, march_step: float
    ) -> dict[str, float]:
        steps.append(step)
        return real(self, engine, step, march_step)

    monkeypatch.setattr(Refiner, "pull", seen)
    refine = RefineConfig(every=2, size=32, regressor="3ddfa_small", cord=1e-2, shape=1e-7)
    for engine in ("numba", "torch"):
        steps.clear()
        config = replace(CONFIG, refine=refine, engine=engine, device="cpu", board=True)
        head = train_head(data, config, tmp_path / engine)
        assert steps == [4, 6]
        assert {"cord", "shape"} <= set(head.facts["curve"][-1])
        assert "cord" not in head.facts["curve"][0]
        assert list((tmp_path / engine / "tensorboard").glob("events*"))


def test_the_square_of_the_parsed_face() -> None:
    labels = np.zeros((100, 100), np.uint8)
    labels[20:60, 30:70] = 1
    labels[0:20, 30:70] = 17  # hair is not in a detector's box
    # Old size 40, centre (50, 40 + 0.14 · 40); side int(1.58 · 40) = 63.
    square = face_square(labels)
    assert square is not None
    np.testing.assert_allclose(square, [18.5, 14.1, 81.5, 77.1])
    assert face_square(np.zeros((8, 8), np.uint8)) is None


def test_real_shapes_are_what_the_encoder_reads(shared_data: Path, tmp_path: Path) -> None:
    """The regressor of the store's encoder, on a crop it was given: the same 40 numbers."""
    import cv2

    from pipeline.face import ddfa_params

    weights = shared_data / "weights" / "3ddfa_v2"
    shelf = Shelf(tmp_path / "shelf")
    shelf.add("3ddfa_mb05", weights)
    reader = ShapeReader.of("3ddfa_mb05", shelf, torch.device("cpu"))
    frame = np.random.default_rng(0).integers(0, 255, (160, 160, 3)).astype(np.uint8)
    frame = cv2.GaussianBlur(frame, (0, 0), 6)
    roi = np.array([20.0, 12.0, 140.0, 132.0])  # 120 px wide: no resampling in either
    crop = ddfa_params.cropped(frame, roi)[..., ::-1]
    with torch.no_grad():
        raw = reader.network(torch.from_numpy(ddfa_params.network_input(crop[None].copy())))
        picture = torch.from_numpy(frame.transpose(2, 0, 1).copy()).float() / 255
        got = reader.read(picture, roi)
    np.testing.assert_allclose(got, raw[0, ddfa_params.SHAPE] * reader.std, rtol=2e-3, atol=50)


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="every = 0"):
        RefineConfig(every=0)
    with pytest.raises(ConfigError, match="must contain"):
        RefineConfig(prompt="a face")
    config = HeadConfig.from_settings({"refine": {"every": 3}, "rays": 9})
    assert config == HeadConfig(refine=RefineConfig(every=3), rays=9)
