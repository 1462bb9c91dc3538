"""All sample clips into a folder, in one process or several."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from pathlib import Path

from pipeline.errors import InputError
from pipeline.samples.sentences import EMOTIONS, HELDOUT, IDENTITIES, SENTENCES
from pipeline.samples.speech_files import Reading, load_reading


def _checked(kind: str, asked: Sequence[str], known: Sequence[str]) -> None:
    for name in asked:
        if name not in known:
            raise InputError(f"no sample {kind} {name!r}; there are {', '.join(known)}")


def _one(job: tuple[Path, str, str, str, int]) -> bool:
    from pipeline.samples.clip import write_clip  # numba and cv2 load only where clips are made

    return write_clip(*job)


def make_samples(
    folder: Path,
    *,
    size: int = 256,
    identities: Sequence[str] = IDENTITIES,
    emotions: Sequence[str] = EMOTIONS,
    sentences: Sequence[str] = tuple(SENTENCES),
    workers: int = 1,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Path]:
    """Write clips `<identity>_<emotion>_<sentence>.mp4` with sidecars; return their paths.

    A clip that is there with the same recipe (code, speech, size) is left alone. `size` is the
    side of the picture in pixels, even, at least 64. `progress(done, total, clip name)` is called
    after each clip. The truth and the painted RGB frames are the same bits for the same inputs on
    one set of library versions and one CPU family; the files are, for one ffmpeg build.

    Raises InputError for a name that does not exist or a size that H.264 cannot take.
    """
    if size < 64 or size % 2:
        raise InputError(f"sample size {size}: it must be even and at least 64")
    _checked("identity", identities, IDENTITIES)
    _checked("emotion", emotions, EMOTIONS)
    _checked("sentence", sentences, tuple(SENTENCES))
    folder.mkdir(parents=True, exist_ok=True)
    names = list(product(identities, emotions, sentences))
    jobs = [(folder, *name, size) for name in names]
    paths = [folder / f"{'_'.join(name)}.mp4" for name in names]
    if workers <= 1:
        for done, (job, path) in enumerate(zip(jobs, paths, strict=True), start=1):
            _one(job)
            if progress:
                progress(done, len(jobs), path.stem)
        return paths
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=spawn) as pool:
        running = {pool.submit(_one, job): path for job, path in zip(jobs, paths, strict=True)}
        for done, future in enumerate(as_completed(running), start=1):
            future.result()
            if progress:
                progress(done, len(jobs), running[future].stem)
    return paths


def heldout_speech(identity: str) -> Path:
    """The wav of the long sentence that no clip shows, by an identity; 5-6 s, 16 kHz mono."""
    return heldout_reading(identity).path


def heldout_reading(identity: str) -> Reading:
    """The held-out speech with its words and phonemes."""
    _checked("identity", [identity], IDENTITIES)
    return load_reading(identity, "neutral", HELDOUT.name)
