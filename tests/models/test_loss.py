"""Equation 13 by hand."""

import pytest
import torch

from models.loss import frame_distance, regression_loss


def ones(*shape: int) -> torch.Tensor:
    return torch.ones(*shape, dtype=torch.bool)


def test_a_frame_counts_by_its_length_not_its_square() -> None:
    a, b = torch.tensor([[[3.0, 4.0]]]), torch.zeros(1, 1, 2)
    assert frame_distance(a, b).item() == pytest.approx(5)


def test_both_terms_add_with_rho() -> None:
    hat = torch.zeros(1, 2, 2)
    own = torch.tensor([[[3.0, 4.0], [0.0, 1.0]]])  # lengths 5, 1: mean 3
    other = torch.tensor([[[6.0, 8.0], [0.0, 0.0]]])  # lengths 10, 0: mean 5
    loss = regression_loss(hat, own, ones(1, 2), other, ones(1, 2), 0.5)
    assert loss.item() == pytest.approx(3 + 0.5 * 5, abs=1e-5)


def test_frames_without_a_face_do_not_count() -> None:
    hat = torch.zeros(1, 2, 1)
    own, other = torch.tensor([[[2.0], [99.0]]]), torch.tensor([[[4.0], [99.0]]])
    known = torch.tensor([[True, False]])
    assert regression_loss(hat, own, known, other, ones(1, 2), 0.5).item() == pytest.approx(4)


def test_a_tag_of_one_identity_drops_the_second_term() -> None:
    hat, own = torch.zeros(1, 1, 1), torch.tensor([[[2.0]]])
    loss = regression_loss(hat, own, ones(1, 1), own * 9, ~ones(1, 1), 0.5)
    assert loss.item() == pytest.approx(2)


def test_the_own_face_is_the_optimum_of_a_frame() -> None:
    """With ρ < 1 a frame whose sound tells all is not pulled towards the other identity."""
    own, other = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[-3.0, 2.0]]])
    best = regression_loss(own, own, ones(1, 1), other, ones(1, 1), 0.5)
    for shift in (0.1, 0.5):
        hat = own + shift * (other - own)
        assert regression_loss(hat, own, ones(1, 1), other, ones(1, 1), 0.5) > best


def test_a_perfect_frame_has_a_gradient() -> None:
    hat = torch.zeros(1, 1, 2, requires_grad=True)
    regression_loss(hat, hat.detach(), ones(1, 1), hat.detach(), ones(1, 1), 0.5).backward()
    assert hat.grad is not None
    assert torch.isfinite(hat.grad).all()
