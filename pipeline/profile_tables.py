"""Which encoders there are, and which of them make a profile."""

ENCODERS: dict[str, tuple[str, str]] = {
    "crop": ("pipeline.face.rgb", "Rgb"),
    "facemesh": ("pipeline.face.landmarks", "FaceMesh"),
    "mar": ("pipeline.face.mar", "Mar"),
    "pose": ("pipeline.face.pose", "Pose"),
    "semantic": ("pipeline.face.semantic", "Semantic"),
    "selfie": ("pipeline.face.parsing", "Selfie"),
    "waveform": ("pipeline.speech.waveform", "Waveform"),
    "logmel": ("pipeline.speech.logmel", "LogMel"),
    "prosody": ("pipeline.speech.prosody", "Prosody"),
    "minilm": ("pipeline.speech.minilm", "MiniLM"),
    "ddfa": ("pipeline.face.ddfa", "Ddfa"),
    "ddfa68": ("pipeline.face.ddfa", "Ddfa68"),
    "deca": ("pipeline.face.deca", "Deca"),
    "bisenet": ("pipeline.face.bisenet", "Bisenet"),
    "landmarker": ("pipeline.face.landmarker", "Landmarker"),
    "hubert": ("pipeline.speech.hubert", "Hubert"),
    "emotion2vec": ("pipeline.speech.emotion2vec", "Emotion2vec"),
    "llama": ("pipeline.speech.causal_lm", "CausalLM"),
}
"""Encoder to (module, class stem): `<stem>Encoder` with a `<stem>Config`."""

_BOTH = ("crop", "facemesh", "mar", "pose")

PROFILES: dict[str, tuple[str, ...]] = {
    "embedded": (*_BOTH, "semantic", "selfie", "waveform", "logmel", "prosody", "minilm"),
    "paper": (*_BOTH, "ddfa", "bisenet", "waveform", "hubert", "emotion2vec", "llama"),
}

SIZED = ("crop", "pose", "selfie", "bisenet")
"""Encoders whose config has the frames' side in pixels."""
