"""Equations 1-9: by hand on tiny numbers, and by explicit loops in float64."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import equations as eq
from models.config import AudioExpressionConfig, InputWidths
from models.errors import ModelConfigError
from models.network import AudioExpressionNetwork, Past, Spoken, feed_forward


def tensor(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_eq_1_maps_rows() -> None:
    raw = tensor([[[1.0, 2.0], [0.0, 1.0]]])
    e = tensor([[1.0, 0.0, 2.0], [0.0, 3.0, 1.0]])
    assert eq.project(raw, e).tolist() == [[[1, 6, 4], [0, 3, 1]]]


def test_fusion_sums_the_frame_and_those_before() -> None:
    # two frames of past (10, 20), three of window (1, 2, 3), three terms
    summed = tensor([[[10.0], [20.0], [1.0], [2.0], [3.0]]])
    assert eq.fuse(summed, 3).ravel().tolist() == [31, 23, 6]
    assert eq.fuse(summed, 1).ravel().tolist() == [10, 20, 1, 2, 3]


def test_frames_before_the_sound_are_silence() -> None:
    summed = tensor([[[10.0], [20.0], [1.0]]])
    present = torch.tensor([[False, True]])
    assert eq.with_silence(summed, present, tensor([7.0])).ravel().tolist() == [7, 20, 1]


def test_eq_2_and_3_correlate_every_pair() -> None:
    x = tensor([[[1.0, 0.0], [1.0, 1.0]]])
    w_q, w_k = tensor([[1.0], [2.0]]), tensor([[3.0], [0.0]])
    # queries 1 and 3; keys 3 and 3
    assert eq.correlation(x, w_q, w_k).tolist() == [[[3, 3], [9, 9]]]


def test_eq_5_to_7_average_by_softmax() -> None:
    scores = tensor([[[0.0, 2 * np.log(3.0)], [0.0, 0.0]]])
    values = tensor([[[4.0], [8.0]]])
    # d_h = 4: logits halve to ln 3, weights 1/4 and 3/4, so 7; the second row averages to 6
    out = eq.attend(scores, values, tensor([[2.0]]), 4)
    assert out.ravel().tolist() == pytest.approx([14, 12])


def test_eq_7_by_tokens_counts_the_frames_of_each() -> None:
    # two tokens spoken by one and three frames: equal scores weigh 1/4 and 3/4; a slot that no
    # frame speaks weighs nothing, however high its score
    scores = tensor([[[0.0, 0.0, 99.0], [0.0, 0.0, 99.0], [0.0, 0.0, 99.0]]])
    values = tensor([[[4.0], [8.0], [1e6]]])
    out = eq.attend_tokens(scores, tensor([[1.0, 3.0, 0.0]]), values, tensor([[2.0]]), 1)
    assert out.ravel().tolist() == pytest.approx([14, 14, 14])


def test_eq_8_is_layers_with_relu_and_a_linear_end() -> None:
    net = feed_forward(2, (2,), 1, "relu").double()
    hidden, last = net[0], net[2]
    assert isinstance(hidden, torch.nn.Linear)
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        hidden.weight.copy_(tensor([[1.0, 2.0], [-1.0, 0.0]]))
        hidden.bias.copy_(tensor([0.5, 0.0]))
        last.weight.copy_(tensor([[-2.0, 1.0]]))
        last.bias.copy_(tensor([1.0]))
    # hidden: 1 + 2 + 0.5 = 3.5 and max(-1, 0) = 0; then -7 + 1
    assert net(tensor([[1.0, 1.0]])).tolist() == [[-6.0]]


def test_the_concatenation_keeps_its_order() -> None:
    parts = [tensor([[[float(i)]]]) for i in (1, 2, 3)]
    assert eq.concatenated(*parts).tolist() == [[[1, 2, 3]]]


RNG = np.random.default_rng(3)
X, W, V = (RNG.normal(size=shape) for shape in ((2, 5, 3), (3, 4), (3, 4)))
SCORES, SQUARE = RNG.normal(size=(2, 5, 5)), RNG.normal(size=(3, 3))


def loops_attend(scores: np.ndarray, values: np.ndarray, w: np.ndarray, d_h: int) -> np.ndarray:
    out = np.zeros((*values.shape[:2], w.shape[1]))
    for b, i in np.ndindex(*scores.shape[:2]):
        weights = [np.exp(score / np.sqrt(d_h)) for score in scores[b, i]]
        for j, weight in enumerate(weights):
            out[b, i] += weight / sum(weights) * (values[b, j] @ w)
    return out


@pytest.mark.parametrize(
    ("function", "loops"),
    [
        (lambda: eq.project(tensor(X), tensor(W)),
         [[[sum(X[b, i, c] * W[c, d] for c in range(3)) for d in range(4)] for i in range(5)]
          for b in range(2)]),
        (lambda: eq.fuse(tensor(X), 3),
         [[[sum(X[b, j, c] for j in range(i, i + 3)) for c in range(3)] for i in range(3)]
          for b in range(2)]),
        (lambda: eq.correlation(tensor(X), tensor(W), tensor(V)),
         [[[sum((X[b, i] @ W)[h] * (X[b, j] @ V)[h] for h in range(4)) for j in range(5)]
           for i in range(5)] for b in range(2)]),
        (lambda: eq.attend(tensor(SCORES), tensor(X), tensor(SQUARE), 7),
         loops_attend(SCORES, X, SQUARE, 7)),
        (lambda: eq.refine(tensor(X), tensor(X[..., :1]), tensor(2 * X)),
         [[[X[b, i, c] + X[b, i, 0] * 2 * X[b, i, c] for c in range(3)] for i in range(5)]
          for b in range(2)]),
    ],
    ids=["eq 1", "F", "eq 2-3", "eq 4-7", "eq 9"],
)  # fmt: skip
def test_every_equation_equals_its_loops(function: Any, loops: Any) -> None:
    assert function().numpy() == pytest.approx(np.array(loops), rel=1e-12)


@given(seed=st.integers(0, 99))
def test_words_once_equal_words_at_every_frame(seed: int) -> None:
    """Eq. 3 to 7 by tokens, against the paper's formulas on one vector a frame."""
    rng = np.random.default_rng(seed)
    slot = torch.from_numpy(rng.integers(0, 3, size=(2, 6)))
    words = Spoken(tensor(rng.normal(size=(2, 4, 3))), slot)
    w_q, w_k, w_v = (tensor(rng.normal(size=(3, 3))) for _ in range(3))
    said, every = words.membership(), words.per_frame()
    assert torch.equal(every[1, 2], words.tokens[1, slot[1, 2]])
    by_tokens = eq.correlation(words.tokens, w_q, w_k)
    by_frames = eq.correlation(every, w_q, w_k)
    assert (said @ by_tokens @ said.mT).numpy() == pytest.approx(by_frames.numpy(), rel=1e-10)
    h = said @ eq.attend_tokens(by_tokens, said.sum(1), words.tokens, w_v, 3)
    assert h.numpy() == pytest.approx(eq.attend(by_frames, every, w_v, 3).numpy(), rel=1e-10)


def test_eq_9_steps_along_the_normal() -> None:
    alpha = tensor([[[1.0, 1.0]]])
    out = eq.refine(alpha, tensor([[[2.0]]]), tensor([[[0.6, -0.8]]]))
    assert out.ravel().tolist() == pytest.approx([2.2, -0.6])


def small(**changes: Any) -> AudioExpressionConfig:
    base: dict[str, Any] = {"widths": InputWidths(3, 2, 4), "k": 3, "d": 5, "d_h": 6, "n": 2}
    return AudioExpressionConfig(**(base | {"ffn_widths": (7, 4), "focus": 1.0} | changes))


def by_loops(
    net: AudioExpressionNetwork, inputs: list[np.ndarray], past: tuple[np.ndarray, ...] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The paper's formulas, sample by sample and frame by frame, in numpy."""
    p = {name: value.detach().numpy() for name, value in net.named_parameters()}
    audio, emotion, tokens, slot, normal = inputs
    text = np.array([[tokens[b, slot[b, i]] for i in range(slot.shape[1])] for b in range(2)])
    config, frames = net.config, audio.shape[1]
    alphas, taus, hats = [], [], []
    for b in range(len(audio)):
        v = [audio[b, i] @ p["e_1"] for i in range(frames)]
        s = {i: v[i] + emotion[b, i] @ p["e_2"] for i in range(frames)}
        for j in range(config.past):
            s[j - config.past] = p["silence"]
            if past is not None and past[2][b, j]:
                s[j - config.past] = past[0][b, j] @ p["e_1"] + past[1][b, j] @ p["e_2"]
        gamma = [text[b, i] @ p["e_3"] for i in range(frames)]
        f = [
            np.sum([s[j] for j in range(i - config.terms + 1, i + 1)], axis=0)
            for i in range(frames)
        ]

        def attended(scores: np.ndarray, values: list[np.ndarray], w: np.ndarray) -> np.ndarray:
            out = []
            for row in scores:
                weights = np.exp(row / np.sqrt(config.d_h))
                weights /= weights.sum()
                out.append(sum(weights[j] * values[j] @ w for j in range(frames)))
            return np.array(out)

        c_ve = np.array([[(f[i] @ p["w_q1"]) @ (f[j] @ p["w_k1"]) for j in range(frames)]
                         for i in range(frames)])  # fmt: skip
        c_g = np.array([[(gamma[i] @ p["w_q2"]) @ (gamma[j] @ p["w_k2"]) for j in range(frames)]
                        for i in range(frames)])  # fmt: skip
        h = np.concatenate(
            [
                attended(c_ve + c_g, v, p["w_v1"]),
                attended(c_ve, f, p["w_v2"]),
                attended(c_g, gamma, p["w_v3"]),
            ],
            axis=1,
        )

        def ffn(name: str, x: np.ndarray) -> np.ndarray:
            layers = sorted({int(key.split(".")[1]) for key in p if key.startswith(f"{name}.")})
            for n, layer in enumerate(layers):
                x = x @ p[f"{name}.{layer}.weight"].T + p[f"{name}.{layer}.bias"]
                if n < len(layers) - 1:
                    x = np.maximum(x, 0)
            return x

        alpha, tau = ffn("ffn_1", h), ffn("ffn_2", h)
        alphas.append(alpha)
        taus.append(tau)
        hats.append(np.array([alpha[i] + tau[i, 0] * normal[b, i] for i in range(frames)]))
    return np.array(alphas), np.array(taus), np.array(hats)


@settings(max_examples=12)
@given(
    seed=st.integers(0, 99),
    frames=st.integers(1, 5),
    terms=st.sampled_from([2, 3]),
    has_past=st.booleans(),
)
def test_the_network_equals_the_loops(seed: int, frames: int, terms: int, has_past: bool) -> None:
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    net = AudioExpressionNetwork(small(window_terms=terms)).double()
    with torch.no_grad():
        net.silence.normal_()
    shapes = ((2, frames, 3), (2, frames, 2), (2, 3, 4), (2, frames, 3))
    audio, emotion, tokens, normal = (rng.normal(size=shape) for shape in shapes)
    slot = rng.integers(0, 3, size=(2, frames))
    inputs = [audio, emotion, tokens, slot, normal]
    count = net.config.past
    past = (
        (
            rng.normal(size=(2, count, 3)),
            rng.normal(size=(2, count, 2)),
            rng.random((2, count)) > 0.5,
        )
        if has_past
        else None
    )
    given_past = Past(*map(torch.from_numpy, past)) if past else None
    words = Spoken(torch.from_numpy(tokens), torch.from_numpy(slot))
    heard = (torch.from_numpy(audio), torch.from_numpy(emotion))
    out = net(*heard, words, torch.from_numpy(normal), past=given_past)
    for got, expected in zip(out, by_loops(net, inputs, past), strict=True):
        assert got.detach().numpy() == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_the_papers_sizes() -> None:
    config = AudioExpressionConfig(InputWidths(768, 768, 4096))
    net = AudioExpressionNetwork(config)
    shapes = {name: tuple(value.shape) for name, value in net.named_parameters()}
    assert shapes["e_1"] == (768, 512)
    assert shapes["e_3"] == (4096, 512)
    assert shapes["w_q1"] == shapes["w_k2"] == shapes["w_v3"] == (512, 512)
    widths = [shapes[f"ffn_1.{i}.weight"] for i in (0, 2, 4, 6, 8)]
    assert widths == [(512, 1536), (256, 512), (256, 256), (128, 256), (10, 128)]
    assert shapes["ffn_2.8.weight"] == (1, 128)
    assert config.terms == 6


def test_a_focused_start_listens_to_itself() -> None:
    torch.manual_seed(0)
    widths = InputWidths(40, 40, 40)
    x = torch.randn(1, 20, 40)
    for focus, floor in ((64.0, 0.9), (0.0, 0.0)):
        net = AudioExpressionNetwork(AudioExpressionConfig(widths, d=64, d_h=64, n=0, focus=focus))
        fused = eq.fuse(eq.project(x, net.e_1) + eq.project(x, net.e_2), 1)
        scores = eq.correlation(fused, net.w_q1, net.w_k1) / 64**0.5
        own = torch.softmax(scores, -1).diagonal(dim1=1, dim2=2).mean().item()
        assert own >= floor
        if focus:
            # υ + e of two unit inputs has twice the variance, so the logit is about 2 focus
            assert scores.diagonal(dim1=1, dim2=2).mean().item() == pytest.approx(128, rel=0.2)
        else:
            assert own < 0.4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d": 0}, r"d is 0; give 1 or more"),
        ({"n": -1}, r"n is -1 frames"),
        ({"n": 5, "window_terms": 4}, r"window_terms is 4 and n is 5.*n = 5.*n \+ 1 = 6"),
        ({"ffn_widths": ()}, r"ffn_widths is \(\)"),
        ({"focus": -1.0}, r"focus is -1.0"),
    ],
)
def test_impossible_sizes_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelConfigError, match=message):
        small(**changes)


def test_inputs_without_channels_are_refused() -> None:
    with pytest.raises(ModelConfigError, match="input width of text is 0"):
        InputWidths(1, 1, 0)


def test_configs_survive_json() -> None:
    config = small()
    assert AudioExpressionConfig.from_dict(config.to_dict()) == config
