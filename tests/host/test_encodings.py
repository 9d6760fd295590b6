"""A text is read in the encoding that it has, and the bytes that are not valid in it are kept."""

from __future__ import annotations

import codecs
import gzip
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_host.encodings import WINDOWS_1252, Encoding, encoding_of, known_encoding, looks_binary, readable

LATIN = ["Müller", "naïve", "é", "Straße café\nnaïve\n", "«É»", "À la carte", "20 °C", "CAFÉ\xa0: 5 £"]
WINDOWS = ["€5", "5 €\n", "it\u2019s", "a \u2013 b", "“É”", "„Spaß“", "“CAFÉ”", "œuvre", "Ž"]
UTF_8 = ["Müller", "naïve", "€5", "Größe und Ähnliches", "日本語", "Привет", "😀", "„Spaß“", "«É»", "x\x08y é", ""]


def named(label: str) -> Encoding:
    found = known_encoding(label)
    assert found is not None
    return found


def read(data: bytes, *labels: str, other: Encoding | None = None) -> tuple[str, str]:
    encoding = encoding_of(data, *labels, other=other)
    assert encoding is not None
    return encoding.name, encoding.decode(data)


@pytest.mark.parametrize("text", LATIN + WINDOWS)
def test_a_short_text_in_an_older_encoding_is_read_as_windows_1252(text: str) -> None:
    data = text.encode("cp1252")
    assert read(data) == ("windows-1252", text)
    assert encoding_of(data) == Encoding("windows-1252", "cp1252", guessed=True)
    if text in LATIN:
        assert text.encode("latin-1") == data


@pytest.mark.parametrize("text", UTF_8)
def test_valid_utf_8_is_utf_8_whatever_a_user_expects_of_other_text(text: str) -> None:
    for other in (None, WINDOWS_1252, named("gbk"), named("shift_jis"), named("cp866")):
        assert read(text.encode(), other=other) == ("utf-8", text)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Größe\n".encode() * 5 + b"bad \xff byte\n", "Größe\n" * 5 + "bad \ufffd byte\n"),
        ("Müller ".encode() + b"\xff", "Müller \ufffd"),
        ("é".encode() + b"\x80", "é\ufffd"),
        ("日本".encode() + b"\xe6\x97", "日本\ufffd\ufffd"),
        ("Привет мир".encode() + b"\xcf", "Привет мир\ufffd"),
        (b"\xc0" + "äöü".encode(), "\ufffdäöü"),
        ("€".encode() + b" 5 \xa4", "€ 5 \ufffd"),
    ],
)
def test_mostly_valid_utf_8_is_utf_8(data: bytes, text: str) -> None:
    assert read(data) == ("utf-8", text)
    assert read(data, other=WINDOWS_1252) == ("utf-8", text)


def test_a_text_of_mixed_lines_is_what_most_of_it_is() -> None:
    utf, latin = "é ü\n".encode(), "é ü\n".encode("latin-1")
    assert read(9 * utf + latin)[0] == "utf-8"
    assert read(utf + 9 * latin)[0] == "windows-1252"


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("gbk", "你好世界"),
        ("shift_jis", "こんにちは世界"),
        ("euc-kr", "안녕하세요 세계"),
        ("big5", "你好世界"),
        ("cp866", "река"),
        ("koi8-r", "Привет"),
        ("windows-1251", "Привет"),
        ("iso-2022-jp", "こんにちは"),
        ("iso-8859-2", "Łódź"),
    ],
)
def test_a_named_encoding_is_used_for_text_that_is_not_utf_8(label: str, text: str) -> None:
    encoding = named(label)
    data = text.encode(encoding.codec)
    assert read(data, other=encoding)[1] == text
    assert read(data, label)[1] == text
    many = (text + "\n").encode(encoding.codec) * 20
    if label != "iso-2022-jp":  # seven bits: each of its bytes is valid ASCII
        assert read(many + b"\xff\n", other=encoding)[0] == encoding.name
    assert read(("Größe\n" * 20).encode() + b"\xff", other=encoding)[0] == "utf-8"


def test_utf_16_without_a_mark_must_be_named() -> None:
    data = "né".encode("utf-16-le")
    assert encoding_of(data) is None
    assert read(data, "utf-16le") == ("utf-16le", "né")
    assert read(data, other=named("utf-16le")) == ("utf-16le", "né")
    assert encoding_of(bytes(10), other=named("utf-16le")) is not None  # NUL characters are valid UTF-16
    assert encoding_of(b"a\0\0\xd8" + bytes(9), other=named("utf-16le")) is None


@pytest.mark.parametrize("name", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_byte_order_mark_decides(name: str) -> None:
    data = "\ufeffcafé\n".encode(name)
    found = encoding_of(data, "windows-1252", other=named("gbk"))
    assert found is not None
    assert found.codec == name
    assert found.decode(data) == "café\n"
    assert found.encode("café\n") == data


def test_some_bytes_that_are_not_valid_in_utf_16_are_kept() -> None:
    data = "\ufeffmany letters".encode("utf-16-le") + b"\x00\xd8" + "end".encode("utf-16-le") + b"!"
    encoding = encoding_of(data)
    assert encoding is not None
    assert encoding.decode(data) == "many letters\ufffd\ufffdend\ufffd"
    assert encoding.encode(encoding.decode_exactly(data)) == data
    assert encoding_of(codecs.BOM_UTF16_LE + b"\0\0\0\xd8\0\0") is None


def test_the_first_declared_name_that_browsers_know_decides() -> None:
    data = "é".encode()
    assert read(data, "iso-8859-1") == ("windows-1252", "Ã©")
    assert read(data, "", "none", " Latin1 ", "utf-8") == ("windows-1252", "Ã©")
    assert read(data, "replacement", "iso-2022-kr", "utf-7", "base64", "\ud800") == ("utf-8", "é")
    assert read(b"a\xff", "utf8") == ("utf-8", "a\ufffd")


@pytest.mark.parametrize(
    "data",
    [
        b"a\0b",
        b"\x89PNG\r\n\x1a\n",
        gzip.compress(b"text" * 100, mtime=0),
        b"\xff\xd8\xff\xe0\x10JFIF",
        "é\x01".encode("latin-1"),
    ],
)
def test_data_with_nul_or_control_characters_is_not_text(data: bytes) -> None:
    assert encoding_of(data) is None
    assert looks_binary(data) == (b"\0" in data)
    if b"\0" in data:
        assert encoding_of(data, "utf-8") is None
        assert encoding_of(data, other=WINDOWS_1252) is None


def test_the_beginning_of_a_text_may_end_inside_a_character() -> None:
    for text, codec in [("line\nÄÖÜ日本", "utf-8"), ("\ufeff日本", "utf-16-le"), ("line\n日本語", "gb18030")]:
        data = text.encode(codec)
        other = named("gbk") if codec == "gb18030" else None
        for end in range(len(data) - 4, len(data)):
            found = encoding_of(data[:end], other=other, whole=False)
            assert found is not None
            assert found.codec == codec
    bad = b"\xff\n" + "Größe\n".encode() * 2
    assert [encoding_of(bad[:end], whole=False) for end in range(10, len(bad))] == [encoding_of(bad)] * (len(bad) - 10)


@given(st.binary(), st.sampled_from(["utf-8", "windows-1252", "koi8-r", "gbk", "shift_jis", "euc-kr", "utf-16le"]))
def test_no_byte_is_lost(data: bytes, label: str) -> None:
    encoding = named(label)
    text = encoding.decode_exactly(data)
    assert len(readable(text)) == len(text)
    assert not any("\ud800" <= sign <= "\udfff" for sign in readable(text))
    assert encoding.decode(data) == readable(text)
    if encoding.codec in ("utf-8", "cp1252", "koi8-r", "utf-16-le"):  # others have two forms of some characters
        assert encoding.encode(text) == data


@given(st.text())
def test_valid_text_is_read_unchanged(text: str) -> None:
    encoding = encoding_of(text.encode())
    if "\0" in text:
        assert encoding is None
    elif not text.startswith("\ufeff"):
        assert encoding is not None
        assert encoding.decode(text.encode()) == text


def test_a_character_that_an_encoding_does_not_have_is_an_error() -> None:
    with pytest.raises(UnicodeEncodeError):
        WINDOWS_1252.encode("体")


def test_random_data_is_not_text() -> None:
    assert encoding_of(b"\1" + os.urandom(10_000)) is None
