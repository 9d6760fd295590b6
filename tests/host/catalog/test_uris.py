"""Two templates overlap when some URI may be read from either; the SDK's own matcher is the judge."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from mcp.shared.uri_template import InvalidUriTemplate, UriTemplate

from mcp_host.catalog.uris import has_scheme, overlap

APART = [
    ("x://a", "x://b"),
    ("x://a", "x://a/"),
    ("x://a/{n}", "x://b/{n}"),
    ("x://{n}", "x://{n}/more"),
    ("x://{n}", "x://a/b"),
    ("x://{n}.txt", "x://{n}.csv"),
    ("x://{+path}", "y://{+path}"),
    ("x://a{/p*}", "x://abc"),
    ("x://a{;id}", "x://a;idx"),
    ("x://a{.kind}", "x://atxt"),
    ("x://a{?q}", "x://b{?q}"),
    ("x://a?fixed=1{&page}", "x://a?fixed=2{&page}"),
    ("x://{+path}", "x://a?q=1"),
]
TOGETHER = [
    ("x://a", "x://a"),
    ("x://{n}", "x://all"),
    ("x://{n}", "x://{other}"),
    ("x://{n}/b", "x://a/{n}"),
    ("x://{+path}", "x://a/b/{n}"),
    ("x://{a}-{b}", "x://{c}"),
    ("x://a{/p*}", "x://a"),
    ("x://a{/p*}", "x://a/b/c"),
    ("x://a{;id}", "x://a;id"),
    ("x://a{;id}", "x://a;id=7"),
    ("x://a{.kind}", "x://a.txt"),
    ("x://a{#part}", "x://a#top"),
    ("x://a{?q}", "x://a"),
    ("x://a{?q}", "x://a?q=1"),
    ("x://a{?q}", "x://a#top"),
    ("x://a{?q}", "x://a{?other}"),
    ("x://a{?q}{&more}", "x://a?anything"),
    ("x://a?fixed=1{&page}", "x://a?fixed=1&page=2"),
    ("x://a?fixed={v}", "x://a{?fixed}"),
]


def matches(template: str, uri: str) -> bool:
    return UriTemplate.parse(template).match(uri) is not None


@pytest.mark.parametrize(("first", "second"), APART)
def test_templates_that_no_uri_fits_both_of_are_apart(first: str, second: str) -> None:
    assert not overlap(first, second)
    assert not overlap(second, first)


@pytest.mark.parametrize(("first", "second"), TOGETHER)
def test_templates_that_a_uri_fits_both_of_overlap(first: str, second: str) -> None:
    assert overlap(first, second)
    assert overlap(second, first)


LITERALS = st.text("ab/.;,=", max_size=3) | st.sampled_from(["?", "?a=", "#", "&"])
OPERATORS = st.sampled_from(["", "+", "#", ".", "/", ";", "?", "&"])


@st.composite
def templates(draw: st.DrawFn) -> str:
    """A template, or plain URI, that the SDK accepts."""
    names = iter("abcdefgh")
    text = "x:" + draw(LITERALS)
    for _ in range(draw(st.integers(0, 3))):
        operator = draw(OPERATORS)
        explode = st.sampled_from(["", "", "*"]) if operator in ("/", ".", ";") else st.just("")
        variables = [next(names) + draw(explode) for _ in range(draw(st.integers(1, 2)))]
        text += f"{{{operator}{','.join(variables)}}}" + draw(LITERALS)
    try:
        UriTemplate.parse(text)
    except InvalidUriTemplate:
        assume(False)
    return text


VALUES = st.text("ab/.", max_size=2)


@st.composite
def uris_of(draw: st.DrawFn, template: str) -> str:
    """A URI that fits the template, or nearly."""
    parsed = UriTemplate.parse(template)
    values: dict[str, str | list[str]] = {}
    for variable in parsed.variables:
        if draw(st.integers(0, 3)):
            values[variable.name] = draw(st.lists(VALUES, max_size=2)) if variable.explode else draw(VALUES)
    return parsed.expand(values) + draw(st.sampled_from(["", "", "", "?", "?z=1", "#a", "/", "a"]))


@given(st.data())
def test_a_uri_that_the_sdk_matches_to_two_templates_makes_them_overlap(data: st.DataObject) -> None:
    first, second = data.draw(templates()), data.draw(templates())
    for uri in (data.draw(uris_of(first)), data.draw(uris_of(second)), first, second):
        if matches(first, uri) and matches(second, uri):
            assert overlap(first, second), uri


@given(st.data())
def test_a_template_overlaps_with_every_plain_uri_that_it_matches(data: st.DataObject) -> None:
    template = data.draw(templates())
    uri = data.draw(uris_of(template))
    assume("{" not in uri)
    if matches(template, uri):
        assert overlap(template, uri)


@given(templates(), templates())
@example("x:{a}", "x:{+b}")
def test_overlap_is_symmetric_and_every_template_overlaps_itself(first: str, second: str) -> None:
    assert overlap(first, second) == overlap(second, first)
    assert overlap(first, first)


@given(st.text("abc/:", max_size=6), st.text("abc/:", max_size=6))
def test_plain_uris_overlap_when_they_are_equal(first: str, second: str) -> None:
    assert overlap(first, second) == (first == second)


def test_long_templates_are_compared_quickly_because_only_common_beginnings_are_walked() -> None:
    first = "x://a/" + "/".join(f"{{v{number}}}" for number in range(100))
    second = "x://b/" + "/".join(f"{{v{number}}}" for number in range(100))
    assert not overlap(first, second)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [("note://a", True), ("urn:isbn:1", True), ("a+b.c-1:x", True), ("note", False), ("1a:x", False), ("{s}:x", False)],
)
def test_a_uri_starts_with_a_scheme(uri: str, expected: bool) -> None:
    assert has_scheme(uri) is expected
