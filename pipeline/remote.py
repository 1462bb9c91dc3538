"""Files that are not on this machine: listed, told apart by what their server says, brought here.

Whatever fsspec reaches may hold videos: S3 (`s3://bucket/videos`), Google and Azure storage with
their packages, and HTTP. A web server's folders cannot be listed: over HTTP the source is a file of
URLs, one a line. Decoders only ever see local copies: FFmpeg keeps no network protocol.
"""

import contextlib
import hashlib
import posixpath
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from pipeline.errors import InputError, SourceAway
from pipeline.media import MEDIA_SUFFIXES

HTTP = ("http", "https")
SCHEMES = (*HTTP, "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
LISTS = (".txt", ".urls")
"""Endings of a local file that lists URLs."""

TRIES = 3
"""Attempts at anything the network may refuse."""
WAIT = 0.5
"""Seconds before the second attempt; four times as many before the third."""
GONE = (404, 410)
"""HTTP states that another attempt will not change."""
READ_TIMEOUT = 60
"""Seconds without a byte after which a connection counts as dead."""
LONGEST_LIST = 64 << 20
"""Bytes of a list of URLs."""
AT_ONCE = 16
"""Requests for what files are, at a time."""


@dataclass(frozen=True)
class RemoteFile:
    """One file of a source."""

    uri: str
    name: str
    """Its path below the source, as it would lie in a folder here."""
    above: str
    """Server (or bucket) and folder of the source: corpora read names of folders, too."""
    size: int | None
    """Bytes; None where the server does not say."""
    token: int
    """Made of ETag or modification time: another one, another file; -1 where neither is told."""


def is_remote(data: str | Path) -> bool:
    """Whether a source must be brought here first."""
    text = str(data)
    if isinstance(data, str) and urlsplit(text).scheme.lower() in SCHEMES and "://" in text:
        return True
    return Path(text).suffix.lower() in LISTS and Path(text).is_file()


def files_of(source: str) -> tuple[list[RemoteFile], list[tuple[str, str]]]:
    """Files of a source, sorted by name, and those that are listed but not there, with the reason.

    Raises:
        InputError: no such source, a web folder, or a list with lines that are no URLs.
        SourceAway: the server does not answer.
    """
    scheme = urlsplit(source).scheme.lower()
    if scheme in HTTP or scheme not in SCHEMES:
        return _of_list(source)
    fs = _filesystem(source)
    root = str(fs._strip_protocol(source)).rstrip("/")
    fs.invalidate_cache()
    found = _tried(source, lambda: fs.find(root, detail=True))
    if not found:
        raise InputError(f"{source} holds nothing; give the bucket and folder of the videos")
    files, refused = [], []
    for key, info in found.items():
        # A source may be one file: then it is its own only entry.
        name = posixpath.basename(key) if key == root else key[len(root) + 1 :]
        if not name or name.endswith("/") or info.get("type") == "directory":
            continue  # a folder's own entry
        if bad := why_no_name(name):
            refused.append((name, bad))
        elif not _hidden(name):
            uri = str(fs.unstrip_protocol(key))
            above = root if key != root else posixpath.dirname(root)
            files.append(RemoteFile(uri, name, above, info.get("size"), token_of(info)))
    return sorted(files, key=lambda file: file.name), refused


def why_no_name(name: str) -> str | None:
    """Why a key of a bucket is no path inside a folder; None if it is."""
    parts = name.split("/")
    if "" in parts or ".." in parts or "." in parts or "\0" in name:
        return f"the key {name!r} is no path inside a folder (an empty part, . or ..): rename it"
    return None


def _of_list(source: str) -> tuple[list[RemoteFile], list[tuple[str, str]]]:
    if Path(urlsplit(source).path).suffix.lower() in MEDIA_SUFFIXES:
        urls = [source]
    else:
        urls = _urls(source, _list_text(source))
    above, names = _names(urls)
    fs = _filesystem(urls[0])
    missing: list[tuple[str, str]] = []

    def look(url: str) -> RemoteFile | None:
        try:
            info = _tried(url, lambda: fs.info(url))
        except InputError as reason:
            missing.append((names[url], str(reason)))
            return None
        return RemoteFile(url, names[url], above, info.get("size"), token_of(info))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = [file for file in pool.map(look, urls) if file is not None]
    return sorted(found, key=lambda file: file.name), missing


def _list_text(source: str) -> str:
    if urlsplit(source).scheme.lower() not in HTTP:
        return Path(source).read_text(encoding="utf-8")
    fs = _filesystem(source)
    info = _tried(source, lambda: fs.info(source))
    if info.get("mimetype") == "text/html":
        raise InputError(
            f"{source} is a web page: folders on a web server cannot be listed. Give a text file "
            "(local or URL) with the URL of each video on a line of its own, or use S3"
        )
    if (info.get("size") or 0) > LONGEST_LIST:
        raise InputError(
            f"{source} is {info['size']} bytes of type {info.get('mimetype')}, no list of URLs "
            f"(at most {LONGEST_LIST}); a video's URL ends in {', '.join(sorted(MEDIA_SUFFIXES))}"
        )
    try:
        return bytes(_tried(source, lambda: fs.cat_file(source))).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{source} is no text, so no list of URLs: {error}") from error


def _urls(source: str, text: str) -> list[str]:
    """The URLs of a list, absolute; blank lines and comments left out.

    Raises:
        InputError: a line that is none, or none at all.
    """
    base = source if urlsplit(source).scheme.lower() in HTTP else ""
    found: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        told = line.strip()
        if not told or told.startswith("#"):
            continue
        url = urljoin(base, told) if base else told
        if urlsplit(url).scheme.lower() not in HTTP or not urlsplit(url).netloc:
            raise InputError(f"{source} line {number}: {told[:80]!r} is no http(s) URL")
        found.append(url)
    if not found:
        raise InputError(f"{source} lists nothing; write the URL of each video on a line")
    return list(dict.fromkeys(found))


def _names(urls: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The folder that all URLs have in common, and the place of each in it.

    Raises:
        InputError: a path that would lead out of the folder, or two URLs for one place.
    """
    places = {}
    for url in urls:
        parts = urlsplit(url)
        place = posixpath.normpath(f"{parts.netloc}/{unquote(parts.path).lstrip('/')}")
        inside = place.startswith(f"{parts.netloc}/") and "\\" not in place and "\0" not in place
        if ".." in unquote(parts.path).split("/") or not inside:
            raise InputError(f"{url}: its path leads out of the list's folder; write it plainly")
        places[url] = place
    common = posixpath.commonpath([posixpath.dirname(place) for place in places.values()])
    names = {url: place[len(common) + 1 :] for url, place in places.items()}
    seen: dict[str, str] = {}
    for url, name in names.items():
        if name in seen:
            raise InputError(f"{seen[name]} and {url} are both {name!r}; list one of them")
        seen[name] = url
    return common, names


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def token_of(info: dict[str, Any]) -> int:
    """A number that changes with the file, below 2^60: from its ETag, hash or modification time."""
    for key in ("ETag", "etag", "md5Hash", "content_settings", "LastModified", "Last-Modified",
                "last_modified", "mtime", "updated"):  # fmt: skip
        if info.get(key):
            digest = hashlib.sha256(str(info[key]).encode()).digest()
            return int.from_bytes(digest[:8], "big") >> 4
    return -1


def fetch(uri: str, target: Path, size: int | None, limit: int) -> None:
    """Bring a file here; `target` appears only whole.

    Raises:
        InputError: it is not there.
        SourceAway: it cannot be reached, came in another length, or is longer than `limit` bytes.
    """
    _fits(uri, size, limit)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    fs = _filesystem(uri)

    def bring() -> None:
        with fs.open(uri, "rb", **_reading(uri)) as source, part.open("wb") as file:
            done = 0
            while piece := source.read(1 << 20):
                done += len(piece)
                _fits(uri, done, limit)
                file.write(piece)
        if size is not None and done != size:
            raise ConnectionError(f"{done} bytes came of {size}")

    try:
        _tried(uri, bring)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _reading(uri: str) -> dict[str, Any]:
    # Streamed: by ranges a web server would be asked once per block.
    return {"block_size": 0} if urlsplit(uri).scheme in HTTP else {"block_size": 16 << 20}


def _fits(uri: str, size: int | None, limit: int) -> None:
    if size is not None and size > limit:
        raise SourceAway(
            f"{uri} has {size} bytes or more, the scratch folder holds {limit}: set "
            "EMOHEAD_SCRATCH_GB higher"
        )


def _tried(uri: str, work: Callable[[], Any]) -> Any:
    """Do what the network may refuse, a few times."""
    wait, attempt = WAIT, 0
    while True:
        attempt += 1
        try:
            return work()
        except SourceAway:
            raise
        except PermissionError as error:
            raise SourceAway(f"{uri} is closed to these credentials ({error})") from error
        except _network_errors() as error:
            # fsspec says "not found" of a web server that is down, too: the cause tells.
            told = error.__cause__ if isinstance(error, FileNotFoundError) else error
            if told is None or _status(told) in GONE:
                raise InputError(f"{uri} is not there") from error
            if attempt == TRIES:
                why = f"{type(told).__name__}: {told}".rstrip(": ")
                raise SourceAway(f"{uri} cannot be reached ({why}), tried {TRIES} times") from error
            time.sleep(wait)
            wait *= 4


def _status(error: BaseException) -> int | None:
    """The HTTP state an error carries: aiohttp's or botocore's."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return getattr(error, "status", None)


def _network_errors() -> tuple[type[Exception], ...]:
    kinds: list[type[Exception]] = [OSError, TimeoutError]
    with contextlib.suppress(ImportError):
        from aiohttp import ClientError

        kinds.append(ClientError)
    with contextlib.suppress(ImportError):
        from botocore.exceptions import BotoCoreError
        from botocore.exceptions import ClientError as S3Error

        kinds += [BotoCoreError, S3Error]
    return tuple(kinds)


def _filesystem(uri: str) -> Any:
    """The file system of a URI, its settings from the environment and fsspec's own config files.

    Raises:
        InputError: its package is not installed.
    """
    import fsspec

    options: dict[str, Any] = {}
    scheme = urlsplit(uri).scheme.lower()
    try:
        if scheme in HTTP:
            from aiohttp import ClientTimeout

            # aiohttp's own limit, five minutes in all, would cut long videos off.
            timeout = ClientTimeout(total=None, connect=READ_TIMEOUT, sock_read=READ_TIMEOUT)
            options = {"client_kwargs": {"timeout": timeout}}
        return fsspec.filesystem(scheme, **options)
    except ImportError as error:
        raise InputError(
            f"{uri}: {scheme} needs a package that is not installed ({error}); "
            "pip install 'emohead[cloud]' brings those of S3 and HTTP"
        ) from error
