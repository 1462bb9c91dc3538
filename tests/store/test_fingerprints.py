"""A fingerprint changes with everything that determines a cell, and with nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.fingerprints import Fingerprinter, fingerprint

names = st.text(alphabet="abc/_", min_size=1, max_size=6)
identities = st.dictionaries(names, st.integers(0, 99) | names, max_size=4)
inputs_ = st.tuples(names, identities, st.dictionaries(names, names, max_size=2))


def test_a_fingerprint_stays_what_it_was() -> None:
    """A release must not re-plan the world: this value may change only with SCHEMA_VERSION."""
    made = fingerprint("c" * 64, {"name": "mar", "version": "1"}, {"face/landmarks": "f" * 32})
    assert made == "ce11eba4ee1e12d96ab01492fcae0b78"


@given(names, identities, st.dictionaries(names, names, max_size=3))
def test_the_order_of_dictionaries_does_not_matter(
    content: str, identity: dict[str, int | str], upstream: dict[str, str]
) -> None:
    turned = dict(reversed(identity.items()))
    above = dict(reversed(upstream.items()))
    assert fingerprint(content, identity, upstream) == fingerprint(content, turned, above)


@given(
    st.lists(st.tuples(names, identities, st.dictionaries(names, names, max_size=2)), max_size=8)
)
def test_different_inputs_have_different_fingerprints(
    inputs: list[tuple[str, dict[str, int | str], dict[str, str]]],
) -> None:
    distinct = [given_ for i, given_ in enumerate(inputs) if given_ not in inputs[:i]]
    assert len({fingerprint(*given_) for given_ in distinct}) == len(distinct)


def test_the_fast_way_is_the_same_way() -> None:
    maker = Fingerprinter({"v": 1}, ("b", "a"))
    assert maker.upstream == ("a", "b")
    assert maker.of("content", ["1", "2"]) == fingerprint("content", {"v": 1}, {"b": "2", "a": "1"})


def test_an_identity_that_is_not_json_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        fingerprint("c", {"x": float("nan")})
