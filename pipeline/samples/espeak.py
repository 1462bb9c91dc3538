"""The few calls of libespeak-ng that speech authoring needs. Never imported at demo time.

Source: the public header `speak_lib.h` of espeak-ng 1.51 (API revision 12).
"""

import ctypes
import ctypes.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_SYNCHRONOUS = 2
_PHONEME_EVENTS = 1
_UTF8 = 1
_AT_CHARACTER = 1
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_END_OF_LIST, _WORD, _PHONEME = 0, 1, 7


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True)
class Voice:
    """One reading: who speaks, and how."""

    name: str
    """espeak-ng voice with variant, such as `en-us+f3`."""
    rate: int
    """Words a minute."""
    pitch: int
    """0..99."""
    pitch_range: int
    """0..99; 0 is a monotone."""


@dataclass
class Utterance:
    """What espeak-ng said, with the times of its events in seconds from the first sample."""

    rate: int
    """Samples a second."""
    chunks: list[np.ndarray] = field(default_factory=list)
    """int16 pieces in order."""
    words: list[tuple[float, int, int]] = field(default_factory=list)
    """Start time, 1-based character position, length."""
    phonemes: list[tuple[float, str]] = field(default_factory=list)
    """Start time and espeak-ng mnemonic; "" marks a pause."""


class Espeak:
    """libespeak-ng in synchronous mode."""

    def __init__(self) -> None:
        """Load and initialise the library; OSError when it is not installed."""
        name = ctypes.util.find_library("espeak-ng")
        if name is None:
            raise OSError("libespeak-ng is not installed: apt-get install espeak-ng libespeak-ng1")
        self._lib = ctypes.CDLL(name)
        self.rate: int = self._lib.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS)

    def say(self, text: str, voice: Voice) -> Utterance:
        """Synthesise `text`; the events come with the samples they belong to."""
        spoken = Utterance(self.rate)

        def receive(samples: Any, count: int, events: Any) -> int:
            if samples and count > 0:
                spoken.chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
            for event in _until_end(events):
                seconds = event.sample / self.rate
                if event.type == _WORD:
                    spoken.words.append((seconds, event.text_position, event.length))
                elif event.type == _PHONEME:
                    spoken.phonemes.append((seconds, event.id.string.decode("utf-8", "replace")))
            return 0

        callback = _Callback(receive)
        self._lib.espeak_SetSynthCallback(callback)
        if self._lib.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise OSError(
                f"espeak-ng has no voice {voice.name!r}; list them with espeak-ng --voices"
            )
        for parameter, value in (
            (_RATE, voice.rate),
            (_PITCH, voice.pitch),
            (_RANGE, voice.pitch_range),
            (_VOLUME, 100),
        ):
            self._lib.espeak_SetParameter(parameter, value, 0)
        data = text.encode()
        self._lib.espeak_Synth(data, len(data) + 1, 0, _AT_CHARACTER, 0, _UTF8, None, None)
        self._lib.espeak_Synchronize()
        return spoken


def _until_end(events: Any) -> Iterator[Any]:
    index = 0
    while events[index].type != _END_OF_LIST:
        yield events[index]
        index += 1
