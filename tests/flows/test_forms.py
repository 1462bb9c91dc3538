"""Wrong parameters are refused before anything runs, by pydantic and by the schema alone."""

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from prefect import Flow
from prefect.utilities.callables import parameter_schema
from pydantic import ValidationError

from flows.evaluate import evaluate
from flows.fit_hyperplanes import fit_hyperplanes
from flows.main_job import main_job
from flows.maintain import maintain
from flows.preprocess import preprocess
from flows.synthesize import synthesize
from flows.train_audio_expression import train_audio_expression
from flows.train_head import train_head
from flows.train_portrait import train_portrait
from flows.update import update

CACHE = {"data": "videos", "store": "cache"}
SPEECH = {"identity": "i", "head": "h", "network": "n", "audio": "a.wav", "out": "o.mp4"}
FORMS: list[tuple[Flow[Any, Any], dict[str, Any], list[dict[str, Any]]]] = [
    (
        preprocess,
        CACHE,
        [
            {"size": 63},
            {"size": 129},
            {"workers": 0},
            {"clips_per_task": 0},
            {"clips_per_commit": 0},
            {"clip_seconds": 0},
            {"wait_seconds": -1},
            {"corpus": "meed"},
            {"dataset": "two words"},
            {"dataset": ""},
            {"store": ""},
            {"profile": "Embedded!"},
            {"cluster": "somewhere"},
            {"cluster": "local:many"},
            {"cluster": "local:0"},
            {"features": ["face mar"]},
            {"resources": {"GPU": "one"}},
        ],
    ),
    (update, CACHE, [{"size": 2048}, {"corpus": "x"}, {"hyperplanes": "perhaps"}]),
    (fit_hyperplanes, {"store": "cache"}, [{"dataset": "a/b"}, {"store": ""}]),
    (maintain, {"store": "cache"}, [{"keep_days": 0}, {"read_data": "some"}]),
    (train_audio_expression, {"store": "cache", "out": "o"}, [{"preset": "big"}]),
    (train_head, {"store": "cache", "out": "o", "identity": "i"}, [{"preset": "big"}]),
    (train_portrait, {"store": "cache", "out": "o"}, [{"preset": "big"}, {"dataset": "a/b"}]),
    (synthesize, {"store": "cache", **SPEECH}, [{"render_size": 8}, {"dataset": "a b"}]),
    (evaluate, {"store": "cache", "network": "n", "heads": "h", "out": "o"}, [{"frames": 0}]),
    (main_job, {"out": "o"}, [{"size": 65}, {"workers": 300}, {"corpus": "x"}]),
]


@pytest.mark.parametrize(("flow", "given", "wrong"), FORMS, ids=[f[0].name for f in FORMS])
def test_every_form_says_what_it_takes_and_refuses_the_rest(
    flow: Flow[Any, Any], given: dict[str, Any], wrong: list[dict[str, Any]]
) -> None:
    config = flow.fn.__annotations__["config"]
    schema = parameter_schema(flow.fn).model_dump()
    schema["definitions"] = schema.get("definitions", {})
    server = Draft202012Validator(schema)  # what a server holds a new run against
    assert server.is_valid({"config": given})
    config.model_validate(given)
    for change in wrong:
        assert not server.is_valid({"config": given | change}), change
        with pytest.raises(ValidationError):
            config.model_validate(given | change)
    assert not server.is_valid({"config": given | {"nobody_knows": 1}})
    assert not server.is_valid({"config": {}})
    for name, field in config.model_fields.items():
        assert field.description, f"{flow.name}.{name} has no words beside it in the form"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"stroe": "x"}, "no parameter 'stroe'; did you mean 'store'? there are data, store"),
        ({"corpus": "meed"}, "no corpus 'meed'; did you mean 'mead'? use auto, mead"),
        ({"profile": "embeded"}, "did you mean 'embedded'? no profile 'embeded'"),
        ({"profile": "embedded+dfa"}, "did you mean 'ddfa'?"),
    ],
)
def test_a_misspelt_name_is_answered_with_what_may_be_meant(
    given: dict[str, Any], told: str
) -> None:
    config = preprocess.fn.__annotations__["config"]
    with pytest.raises(ValidationError) as refused:
        config.model_validate(CACHE | given)
    assert told in str(refused.value)


def test_paths_and_urls_are_taken_as_they_are(tmp_path: Path) -> None:
    config = preprocess.fn.__annotations__["config"]
    made = config.model_validate({"data": tmp_path, "store": "s3://bucket/cache"})
    assert (made.data, made.store) == (tmp_path, "s3://bucket/cache")
