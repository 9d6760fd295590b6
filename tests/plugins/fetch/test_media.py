"""Types and encodings of bodies."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_plugin_fetch.media import decode, image_type, is_binary, is_html, may_be_text, media_type


@pytest.mark.parametrize(
    ("header", "kind", "charset"),
    [
        ("text/html", "text/html", ""),
        ("TEXT/HTML; Charset=UTF-8", "text/html", "UTF-8"),
        ('text/html; charset="iso-8859-1"', "text/html", "iso-8859-1"),
        ("text/plain;charset=utf-8;format=flowed", "text/plain", "utf-8"),
        ("", "", ""),
        ("nonsense", "", ""),
        (";;;", "", ""),
        ("text/html; charset", "text/html", ""),
        ("text/html; charset*=utf-8''utf-8", "text/html", ""),
    ],
)
def test_a_content_type_is_split_into_type_and_charset(header: str, kind: str, charset: str) -> None:
    assert media_type(header) == (kind, charset)


@given(st.text(st.characters(max_codepoint=255)))
def test_any_content_type_can_be_split(header: str) -> None:
    kind, charset = media_type(header.replace("\r", "").replace("\n", ""))
    assert isinstance(kind + charset, str)


@pytest.mark.parametrize(
    ("data", "charset", "html", "text"),
    [
        ("grün".encode(), "", False, "grün"),
        ("grün".encode("latin-1"), "", False, "grün"),
        ("grün".encode("latin-1"), "iso-8859-1", False, "grün"),
        ("“quoted”".encode("cp1252"), "iso-8859-1", False, "“quoted”"),
        ("привет".encode("koi8-r"), "KOI8-R", False, "привет"),
        ("日本".encode("shift_jis"), "shift_jis", False, "日本"),
        ("日本".encode("euc-jp"), "x-euc-jp", False, "日本"),
        (codecs.BOM_UTF8 + "grün".encode(), "iso-8859-1", False, "grün"),
        ("grün".encode("utf-16"), "", False, "grün"),
        (b'<meta charset="koi8-r">' + "привет".encode("koi8-r"), "", True, '<meta charset="koi8-r">привет'),
        (b"<meta charset=koi8-r>" + "привет".encode("koi8-r"), "", False, None),
        (b"<meta charset=koi8-r>" + "привет".encode(), "utf-8", True, "<meta charset=koi8-r>привет"),
        (b"<meta charset=nonsense>" + "привет".encode(), "", True, "<meta charset=nonsense>привет"),
        (b"caf\xc3", "utf-8", False, "caf\ufffd"),
        ("grün".encode(), "unicode_escape", False, "grün"),
        ("grün".encode(), "base64", False, "grün"),
        ("grün".encode(), "idna", False, "grün"),
        (b"a\r\nb\n", "", False, "a\nb\n"),
        (b"", "", False, ""),
    ],
)
def test_a_body_is_decoded_with_its_encoding(data: bytes, charset: str, html: bool, text: str | None) -> None:
    decoded = decode(data, charset, html=html)
    if text is None:
        assert "привет" not in decoded
    else:
        assert decoded == text


@given(st.binary(), st.text(max_size=20), st.booleans())
def test_any_body_can_be_decoded(data: bytes, charset: str, html: bool) -> None:
    assert isinstance(decode(data, charset, html=html), str)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\n\0\n\0WEBPVP8 ", "image/webp"),
        (b"RIFF\n\0\n\0WAVE", None),
        (b"<svg>", None),
        (b"", None),
    ],
)
def test_an_image_is_recognized_by_its_first_bytes(data: bytes, kind: str | None) -> None:
    assert image_type(data) == kind


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("text/x", True), ("application/ld+json", True), ("", True), ("application/pdf", False), ("image/png", False)],
)
def test_text_types_are_recognized(kind: str, expected: bool) -> None:
    assert may_be_text(kind) is expected


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("text/html", b"anything", True),
        ("application/xhtml+xml", b"<?xml", True),
        ("", b"  <!-- hi --> <HTML>", True),
        ("application/octet-stream", b"<!doctype  html>", True),
        ("", b"<htmlish", False),
        ("text/plain", b"<html>", False),
    ],
)
def test_html_is_recognized_by_its_type_or_first_bytes(kind: str, data: bytes, expected: bool) -> None:
    assert is_html(kind, data) is expected


def test_many_comments_do_not_make_the_match_slow() -> None:
    assert not is_html("", b"<!---->" * 1000)
    assert is_html("", b"<!---->" * 100 + b"<html>")


def test_nul_bytes_mean_binary_unless_the_encoding_uses_them() -> None:
    assert is_binary(b"a\0")
    assert not is_binary("a".encode("utf-16"))
    assert not is_binary(b"a")
