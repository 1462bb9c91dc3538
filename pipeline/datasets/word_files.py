"""Words with times from files beside a clip: Praat TextGrids, WebVTT and SubRip subtitles.

.TextGrid   intervals of a tier `words` (and `phones`), as forced aligners write them
.vtt, .srt  cues; the words of a cue share its time by their letters, or lie where WebVTT's
            inline time stamps put them
"""

import html
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from pipeline.errors import InputError
from pipeline.transcript import Transcript, Word

_CUE = re.compile(
    r"^\s*((?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3})\s*-->\s*((?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3})"
)
_STAMP = re.compile(r"<((?:\d+:)?\d{1,2}:\d{2}\.\d{3})>")
_MARKS = re.compile(r"<[^>]*>|\{\\[^}]*\}|\[[^\]]*\]|[♪♫]")
"""Tags, SubStation codes, [notes], music: nothing that is spoken."""
_SILENT = frozenset(("", "sil", "sp", "spn", "<eps>", "<sil>", "<p:>", "#"))
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?!\S)')


def read_word_file(media: Path) -> Transcript | None:
    """What the first of `.TextGrid`, `.vtt`, `.srt` beside a file says; None when there is none.

    Raises:
        InputError: a file that cannot be read as what its name says.
    """
    for suffix, parse in _PARSERS.items():
        path = media.with_suffix(suffix)
        if not path.is_file():
            continue
        try:
            transcript = parse(_text(path))
        except (InputError, ValueError) as error:
            raise InputError(f"sidecar {path.name} cannot be read: {error}") from error
        except (StopIteration, RuntimeError) as error:
            raise InputError(f"sidecar {path.name} cannot be read: it ends early") from error
        return transcript
    return None


def text_grid(text: str) -> Transcript:
    """A TextGrid, long or short form: what is written without labels is the same in both.

    Raises:
        InputError: no TextGrid, or no tier of words.
    """
    found = [(s.replace('""', '"'), n) for s, n in _TOKEN.findall(text)]
    tokens = iter(found)
    if [next(tokens, ("", ""))[0] for _ in range(2)] != ["ooTextFile", "TextGrid"]:
        raise InputError("it does not begin as a TextGrid")
    numbers = [float(next(tokens)[1]) for _ in range(3)]
    tiers: dict[str, tuple[Word, ...]] = {}
    for _ in range(int(numbers[2])):
        kind, name = next(tokens)[0], next(tokens)[0]
        _, _, count = (float(next(tokens)[1]) for _ in range(3))
        held = []
        for _ in range(int(count)):
            start = float(next(tokens)[1])
            if kind == "TextTier":
                next(tokens)
                continue
            end, label = float(next(tokens)[1]), next(tokens)[0].strip()
            if label.lower() not in _SILENT:
                held.append(Word(label, start, end))
        if kind == "IntervalTier":
            tiers[name.lower()] = tuple(held)
    words = _tier(tiers, ("words", "word"))
    if words is None and len(tiers) == 1:
        words = next(iter(tiers.values()))
    if words is None:
        raise InputError(f"no tier is called words; there are {', '.join(tiers) or 'none'}")
    phonemes = _tier(tiers, ("phones", "phone", "phonemes")) or ()
    return Transcript(" ".join(word.text for word in words), words, phonemes, source="sidecar")


def subtitles(text: str) -> Transcript:
    """Cues of a `.srt` or `.vtt` file.

    Raises:
        InputError: no cue, or one that ends before it starts.
    """
    words: list[Word] = []
    cues = 0
    for start, end, body in _cues(text):
        cues += 1
        if end <= start:
            raise InputError(f"a cue runs from {start} s to {end} s")
        parts = _STAMP.split(body)  # text, time, text, time, text ...
        edges = [start, *(_seconds(stamp) for stamp in parts[1::2]), end]
        for part, (a, b) in zip(parts[::2], pairwise(edges), strict=True):
            words += shared(_spoken(part), a, b)
    if not cues:
        raise InputError("it has no cue (00:00:01.000 --> 00:00:02.000)")
    words.sort(key=lambda word: word.start)
    return Transcript(" ".join(w.text for w in words), tuple(words), source="sidecar")


def shared(words: list[str], start: float, end: float) -> list[Word]:
    """Words laid end to end over a stretch, each as long as it has letters."""
    total = sum(len(word) for word in words)
    out, at = [], start
    for word in words:
        past = at + (end - start) * len(word) / total
        out.append(Word(word, at, past))
        at = past
    return out


def _cues(text: str) -> Iterator[tuple[float, float, str]]:
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        lines = block.strip("\n").split("\n")
        for number, line in enumerate(lines):
            match = _CUE.match(line)
            if match:
                body = " ".join(lines[number + 1 :])
                yield _seconds(match[1]), _seconds(match[2]), body
                break


def _spoken(text: str) -> list[str]:
    plain = html.unescape(_MARKS.sub(" ", text))
    return [word for word in plain.split() if re.search(r"\w", word)]


def _seconds(stamp: str) -> float:
    parts = [float(part) for part in stamp.replace(",", ".").split(":")]
    return sum(part * 60**power for power, part in enumerate(reversed(parts)))


def _tier(tiers: dict[str, tuple[Word, ...]], names: tuple[str, ...]) -> tuple[Word, ...] | None:
    """The tier of that name; aligners put a speaker's name in front ("iris - words")."""
    for name, held in tiers.items():
        if name.split(" - ")[-1].strip() in names:
            return held
    return None


def _text(path: Path) -> str:
    data = path.read_bytes()
    utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")  # Praat's own choice
    return data.decode("utf-16" if utf16 else "utf-8-sig")


_PARSERS: dict[str, Callable[[str], Transcript]] = {
    ".TextGrid": text_grid,
    ".textgrid": text_grid,
    ".vtt": subtitles,
    ".srt": subtitles,
}
