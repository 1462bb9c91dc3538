"""MoEE's mixture and emotion latents, by hand and by a second route."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from models.config import AudioExpressionConfig, InputWidths
from models.errors import ModelConfigError
from models.experts.latents import EmotionInputs, EmotionToLatents
from models.experts.mixture import EXPERTS, ExpertMixture, MixtureConfig
from models.experts.network import mixture_of

N, TOKENS, M = 3, 5, 2


def mixture(**changes: bool) -> ExpertMixture:
    torch.manual_seed(1)
    made = ExpertMixture(MixtureConfig(8, 6, inner=4, heads=2, **changes))
    torch.nn.init.normal_(made.out)
    return made


def x_and_latent() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    return torch.randn(N, TOKENS, 8), torch.randn(N, M, 6)


def test_it_is_the_published_sum_expert_by_expert() -> None:
    """A loop over samples, experts and heads, with nothing stacked."""
    made, (x, latent) = mixture(), x_and_latent()
    assert made.local is not None
    assert made.whole is not None
    got = made(x, latent)
    for b in range(N):
        s = torch.sigmoid(x[b] @ made.local.weight.T + made.local.bias)
        read = torch.cat([x[b].mean(dim=0), latent[b].mean(dim=0)])
        g = torch.softmax(made.whole.weight @ read + made.whole.bias, dim=0)
        total = x[b].clone()
        for i in range(len(EXPERTS)):
            gated = functional.layer_norm(x[b], (8,), made.norm.weight, made.norm.bias)
            gated = gated * s[:, i : i + 1]
            heads = []
            for h in range(2):
                part = slice(2 * h, 2 * h + 2)
                q = gated @ made.query[i][:, part]
                k, v = latent[b] @ made.key[i][:, part], latent[b] @ made.value[i][:, part]
                heads.append(torch.softmax(q @ k.T / 2**0.5, dim=1) @ v)
            total = total + g[i] * (torch.cat(heads, dim=1) @ made.out[i])
        assert torch.allclose(got.x[b], total, atol=1e-5)
        assert torch.allclose(got.global_gate[b], g)
        assert torch.allclose(got.local_gate[b], s)


def test_a_fresh_mixture_changes_nothing() -> None:
    torch.manual_seed(0)
    x, latent = x_and_latent()
    assert torch.equal(ExpertMixture(MixtureConfig(8, 6, inner=4))(x, latent).x, x)


def test_without_gates_every_expert_counts_alike_and_sees_everything() -> None:
    x, latent = x_and_latent()
    got = mixture(global_gate=False, local_gate=False)(x, latent)
    assert torch.allclose(got.global_gate, torch.full((N, 6), 1 / 6))
    assert (got.local_gate == 1).all()


def test_one_cross_attention_has_as_many_parameters_as_six_experts_and_no_gates() -> None:
    config = AudioExpressionConfig(InputWidths(12, 5, 6), k=4, d=8, d_h=8, architecture="moee")
    six = ExpertMixture(mixture_of(config, 16))
    one = ExpertMixture(mixture_of(replace(config, plain=True), 16))
    for name in ("query", "key", "value", "out"):
        assert getattr(one, name).numel() == getattr(six, name).numel()
        assert len(getattr(one, name)) == 1
    assert one.local is None
    assert one.whole is None
    assert one.config.inner // one.config.heads == six.config.inner // six.config.heads
    x, latent = torch.randn(N, 1, 24), torch.randn(N, M, 16)
    torch.nn.init.normal_(one.out)
    got = one(x, latent)
    every = torch.ones(N, 1, 1)
    torch.testing.assert_close(got.x, x + one.experts(x, latent, every)[:, 0])  # counts whole


def test_the_gate_reads_what_is_asked_only_where_it_may() -> None:
    x, latent = x_and_latent()
    for reads in (True, False):
        made = mixture(gate_reads_latent=reads)
        one, other = made(x, latent).global_gate, made(x, latent + 1).global_gate
        assert torch.equal(one, other) is not reads


def test_heads_must_divide_the_channels() -> None:
    with pytest.raises(ModelConfigError, match="inner is 6, which 4 heads do not divide"):
        MixtureConfig(8, 6, inner=6)


def latents() -> EmotionToLatents:
    torch.manual_seed(3)
    return EmotionToLatents(8, 5, 7, width=12, tokens=4)


def inputs(known: list[bool]) -> EmotionInputs:
    torch.manual_seed(4)
    return EmotionInputs(
        torch.randn(N, 8), torch.randn(N, 5), torch.randn(N, 7), torch.tensor([known] * N)
    )


@settings(max_examples=8, deadline=None)
@given(st.lists(st.booleans(), min_size=3, max_size=3))
def test_any_subset_of_the_inputs_will_do_and_the_others_are_not_read(known: list[bool]) -> None:
    made, given_ = latents(), inputs(known)
    got = made(given_)
    assert got.shape == (N, 4, 12)
    assert torch.isfinite(got).all()
    for i, name in enumerate(("label", "voice", "words")):
        changed = replace(given_, **{name: getattr(given_, name) + 1})
        assert torch.allclose(made(changed), got, atol=1e-6) is not known[i]


def test_nothing_known_is_one_learnt_latent_for_everybody() -> None:
    got = latents()(inputs([False, False, False]))
    assert torch.allclose(got[0], got[1])
