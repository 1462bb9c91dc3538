"""FunASR's `WavFrontend` without torchaudio: Kaldi's filter bank, stacked and normalised.

The filter bank is transformers' (its Kaldi settings serve models trained on torchaudio's); stacking
and mean are FunASR's own functions. Dither, 1 in FunASR by default, is 0: the same sound must give
the same words.
"""

from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float32

from pipeline.errors import WeightError

FULL_SCALE = 32768
"""Kaldi counts amplitudes in steps of 16 bit."""
_FLOOR = 1.192092955078125e-07
"""Kaldi's floor of energies, float32's epsilon."""


@dataclass(frozen=True)
class KaldiFrontend:
    """Sound to [steps, n_mels * lfr_m], one row every `lfr_n` frames."""

    cmvn_file: str | None = None
    fs: int = 16_000
    window: str = "hamming"
    n_mels: int = 80
    frame_length: int = 25
    """ms"""
    frame_shift: int = 10
    """ms"""
    lfr_m: int = 1
    """Frames stacked in a row."""
    lfr_n: int = 1
    """Frames from one row to the next."""
    low_hz: float = field(default=20.0, init=False)

    @classmethod
    def from_config(cls, told: dict[str, Any]) -> "KaldiFrontend":
        """From a folder's `frontend_conf`.

        Raises:
            WeightError: a setting that this front end does not have, other than FunASR's default.
        """
        passed = {"dither": None, "snip_edges": True, "upsacle_samples": True}
        known = {f.name for f in fields(cls) if f.init}
        for name, value in told.items():
            if name not in known and (name not in passed or passed[name] not in (None, value)):
                raise WeightError(f"frontend_conf.{name} = {value!r} is not supported")
        return cls(**{name: value for name, value in told.items() if name in known})

    def output_size(self) -> int:
        """Channels of a row."""
        return self.n_mels * self.lfr_m

    @cached_property
    def _bank(self) -> tuple[np.ndarray, np.ndarray, int]:
        from transformers.audio_utils import mel_filter_bank, window_function

        width = self.fs * self.frame_length // 1000
        fft = 1 << (width - 1).bit_length()
        filters = mel_filter_bank(
            num_frequency_bins=fft // 2 + 1,
            num_mel_filters=self.n_mels,
            min_frequency=self.low_hz,
            max_frequency=self.fs / 2,
            sampling_rate=self.fs,
            norm=None,
            mel_scale="kaldi",
            triangularize_in_mel_space=True,
        )
        return filters, window_function(width, self.window, periodic=False), fft

    def filter_bank(
        self, audio: Float32[np.ndarray, " samples"]
    ) -> Float32[np.ndarray, "frames mels"]:
        """Log energies of mel bands, Kaldi's `compute-fbank-feats` without dither."""
        from transformers.audio_utils import spectrogram

        filters, window, fft = self._bank
        if len(audio) < len(window):
            audio = np.pad(audio, (0, len(window) - len(audio)))
        return spectrogram(
            audio.astype(np.float64) * FULL_SCALE,
            window,
            frame_length=len(window),
            hop_length=self.fs * self.frame_shift // 1000,
            fft_length=fft,
            power=2.0,
            center=False,
            preemphasis=0.97,
            mel_filters=filters,
            log_mel="log",
            mel_floor=_FLOOR,
            remove_dc_offset=True,
        ).T.astype(np.float32)

    def __call__(self, sounds: Any, lengths: Any, **_: Any) -> tuple[Any, Any]:
        """FunASR's call: [1, samples] and its length to [1, rows, channels] and theirs."""
        import torch
        from funasr.frontends.wav_frontend import apply_cmvn, apply_lfr, load_cmvn

        rows = torch.from_numpy(self.filter_bank(sounds[0, : int(lengths[0])].numpy()))
        if self.lfr_m != 1 or self.lfr_n != 1:
            rows = apply_lfr(rows, self.lfr_m, self.lfr_n)
        if self.cmvn_file is not None:
            rows = apply_cmvn(rows, load_cmvn(self.cmvn_file))
        return rows[None], torch.tensor([len(rows)])
