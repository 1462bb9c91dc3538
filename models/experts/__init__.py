"""Mixture of emotion experts (MoEE, arXiv 2501.01808): experts, gates, emotion latents."""
