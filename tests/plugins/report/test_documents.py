"""Any text stays text in the documents: nothing in it becomes markup."""

from __future__ import annotations

from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from mcp_plugin_report import rendering
from mcp_plugin_report.columns import describe
from mcp_plugin_report.models import Report
from mcp_plugin_report.texts import shown

MARKUP = st.text(alphabet=st.sampled_from("`*_[]()<>|!#-+\\&;:/.~=$@\"' \nab1"), max_size=30)
TEXTS = (
    st.text(max_size=30)
    | MARKUP
    | st.sampled_from(
        [
            "</title><script>alert(1)</script>",
            "![x](https://evil.example/x.png)",
            "[x](javascript:alert(1))",
            "<https://evil.example>",
            "https://evil.example/x",
            "www.evil.example",
            "a@evil.example",
            "&lt;script&gt;",
            "``` \n# heading",
            "| a | b |",
            "\\|",
            '" onload=alert(1) x="',
        ]
    )
)


def report_with(text: str) -> Report:
    """A report with the text in every place for texts from the data."""
    said = shown(text)
    return Report(
        id="20250301-000000-x-1",
        title=said or "x",
        source=said,
        source_uri=said,
        description=said,
        created=datetime(2025, 3, 1, tzinfo=UTC),
        rows=2,
        total=None,
        basis="all 2 rows",
        columns=[describe(text, text, [text, text], 4), describe("n", "INT", [1, 2], 4)],
        left_out=[said],
        preview=[[said, "1"]],
        html_uri="report://reports/20250301-000000-x-1/html",
        markdown_uri="report://reports/20250301-000000-x-1/markdown",
    )


class Page(HTMLParser):
    """Return the elements of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data


PLAIN = Page(rendering.html(report_with("plain")))


@given(TEXTS)
def test_no_text_adds_an_element_or_an_attribute_to_the_page(text: str) -> None:
    page = Page(rendering.html(report_with(text)))
    if shown(text).strip():
        assert page.elements == PLAIN.elements
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "img", "iframe", "a", "link", "object", "form"})
    assert shown(text) in page.text


def kinds(tokens: list[Token]) -> list[str]:
    """Return the kinds of a document's blocks and of the parts of their lines. Adjacent texts count as one."""
    found: list[str] = []
    for token in tokens:
        for kind in kinds(token.children) if token.children else [token.type]:
            if not (kind == "text" and found and found[-1] == "text"):
                found.append("text" if kind == "text_special" else kind)
    return found


def parsed(text: str) -> list[Token]:
    # All markup that readers of Markdown know: HTML, tables, struck text, bare addresses.
    return (
        MarkdownIt("commonmark", {"html": True})
        .enable(["table", "strikethrough"])
        .parse(rendering.markdown(report_with(text)))
    )


SHAPE = [kind for kind in kinds(parsed("plain")) if kind not in ("text", "code_inline")]


@given(TEXTS)
def test_no_text_becomes_markup_in_the_markdown(text: str) -> None:
    shape = [kind for kind in kinds(parsed(text)) if kind not in ("text", "code_inline")]
    if shown(text).strip():
        assert shape == SHAPE
    assert {"html_inline", "html_block", "link_open", "image", "em_open", "strong_open"}.isdisjoint(shape)


@given(TEXTS)
def test_the_cells_of_the_markdown_show_the_text(text: str) -> None:
    tokens = parsed(text)
    cells = [
        "".join(child.content for child in token.children or ())
        for before, token in pairwise(tokens)
        if before.type in ("td_open", "th_open")
    ]
    assert cells.count(shown(text).strip()) >= 3 or not shown(text).strip()


def test_the_page_loads_and_runs_nothing() -> None:
    page = unescape(rendering.html(report_with("plain")))
    assert "default-src 'none'; style-src 'sha256-" in page
    assert "unsafe" not in page.partition("</head>")[0]
    assert "script-src" not in page
    assert "://" not in page.replace("report://", "").partition("<body>")[2]
    view = unescape(rendering.view())
    assert "script-src 'sha256-" in view
    assert "innerHTML" not in view
