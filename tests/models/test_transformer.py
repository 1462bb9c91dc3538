"""The plain transformer that the network is held against."""

import pytest
import torch

from models.checkpoint import network_of
from models.config import DEMO, AudioExpressionConfig, InputWidths, TrainConfig
from models.network import Spoken
from models.transformer import PlainTransformer, layer_sizes, places

PAPER = AudioExpressionConfig(InputWidths(768, 768, 4096))
SMALL = TrainConfig(**DEMO).network(InputWidths(240, 32, 384), 10)


def size(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("config", [PAPER, SMALL], ids=["paper", "demo"])
@pytest.mark.parametrize("refinement", [True, False])
def test_it_is_as_large_as_the_network(config: AudioExpressionConfig, refinement: bool) -> None:
    from dataclasses import replace

    network = network_of(config)
    plain = network_of(replace(config, architecture="transformer", refinement=refinement))
    assert isinstance(plain, PlainTransformer)
    assert size(plain) == pytest.approx(size(network), rel=0.05)


def test_layers_spend_the_budget() -> None:
    layers, hidden = layer_sizes(8, 3000)
    layer = torch.nn.TransformerEncoderLayer(8, 1, hidden)
    assert layers * size(layer) == pytest.approx(3000, rel=0.02)
    assert hidden >= 8


def test_places_are_sines_and_cosines() -> None:
    at = places(3, 4)
    assert at[2].tolist() == pytest.approx(
        [0.9092974, -0.4161468, 0.0199987, 0.9998000], abs=1e-6
    )  # sin 2, cos 2, sin 0.02, cos 0.02


def test_every_frame_sees_every_other_and_the_tag_enters_by_equation_9() -> None:
    torch.manual_seed(0)
    network = PlainTransformer(
        AudioExpressionConfig(InputWidths(3, 2, 4), k=3, d=8, architecture="transformer"), 4000
    )
    words = Spoken(torch.randn(1, 2, 4), torch.tensor([[0, 0, 1, 1, 1]]))
    audio, emotion = torch.randn(1, 5, 3), torch.randn(1, 5, 2)
    normal = torch.tensor([0.6, 0.8, 0.0]).expand(1, 5, 3)
    said = network(audio, emotion, words, normal)
    assert torch.allclose(said.alpha_hat, said.alpha_tilde + said.tau * normal)
    audio[0, 4] += 1
    other = network(audio, emotion, words, normal).alpha_tilde
    assert ((other - said.alpha_tilde).abs().amax(dim=2) > 0).all()
