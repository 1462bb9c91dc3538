"""EMOdiffhead's video diffusion: one picture, sound and expression to a talking head's frames.

Needs the extra `diffusion` (diffusers). Start with `render.diffusion.portrait.Portrait` (the
network), `render.diffusion.trainer.train_portrait`, `render.diffusion.animate.animate`.
"""
