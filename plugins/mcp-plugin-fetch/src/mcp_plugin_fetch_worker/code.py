"""Writes code as one block with its line breaks and indentation, whichever elements a page makes of it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise, takewhile
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

from mcp_plugin_fetch_worker.trees import ancestors, element, inside

_BLOCKS: Final = frozenset(
    {"div", "p", "li", "ol", "ul", "tr", "table", "section", "blockquote", "dd", "dt", "h1", "h2"}
)
_SKIPPED: Final = frozenset({"button", "script", "style", "svg", "template"})
_GUTTER: Final = re.compile(
    r"(?:^|[\s_-])(?:linenos?|linenodiv|line-?numbers?|lnt?|lnum|lineno-?\w*|gutter|blob-num|hljs-ln-n(?:umbers)?"
    r"|linenr|line-nr|line-numbers-rows|ln-num|rouge-gutter|react-syntax-highlighter-line-number)(?:$|[\s_-])",
    re.IGNORECASE,
)
_CODE: Final = re.compile(r"(?:^|[\s_-])(?:code|blob|src|source|line|lines|hljs|highlight)(?:$|[\s_-])", re.IGNORECASE)
_CODE_TABLE: Final = re.compile(r"(?:^|[\s_-])(?:code|codehilite|blob)(?:$|[\s_-])", re.IGNORECASE)
_LINE: Final = re.compile(r"(?:^|\s)(?:line|token-line|code-line|view-line|cl)(?:$|\s)")
_LANGUAGE: Final = re.compile(
    r"(?:^|\s)(?:language-|lang-|highlight-source-|highlight-text-|highlight-|sourceCode |brush:\s*|hljs (?=\w+$))"
    r"([A-Za-z][\w+#.-]{0,29})"
)
_FIGURE: Final = re.compile(r"^highlight ([A-Za-z][\w+#.-]{0,29})$")
_NO_LANGUAGE: Final = frozenset(
    {
        "default",
        "none",
        "text",
        "txt",
        "plain",
        "plaintext",
        "notranslate",
        "output",
        "code",
        "wrapper",
        "hljs",
        "undefined",
    }
)
_NUMBER: Final = re.compile(r"\d{1,7}[.:]?")


def write_code(page: LexborHTMLParser) -> None:
    """Replace tables of numbered lines, and every `pre`, by a plain block."""
    for table in reversed(page.css("table")):
        _write_table(table)
    for pre in page.css("pre, xmp, listing"):
        if not inside(pre, "pre"):
            pre.replace_with(_block(text_of(pre), _language(pre)))
    for table in reversed(page.css("table")):
        if any("\n" in each.text().strip() for each in table.css("pre")):
            _unroll(page, table)


def text_of(top: LexborNode) -> str:
    """Return the text of code: an element that begins a line begins one, and line numbers are left out."""
    parts: list[str] = []
    stack: list[LexborNode | int] = [top]
    at_line_start, count = True, 0

    def write(text: str) -> None:
        nonlocal at_line_start, count
        if text:
            parts.append(text)
            at_line_start = text.endswith("\n")
            count += 1

    while stack:
        node = stack.pop()
        if isinstance(node, int):  # the end of a line; the number is the count of parts at its start
            if count == node or not at_line_start:
                write("\n")
        elif node.is_text_node:
            write((node.text_content or "").replace("\r\n", "\n").replace("\xa0", " "))
        elif node.tag == "br":
            write("\n")
        elif node.is_element_node and node.tag not in _SKIPPED and not (node is not top and _is_gutter(node)):
            if node is not top and (node.tag in _BLOCKS or _is_line(node)):
                if not at_line_start:
                    write("\n")
                stack.append(count)
            stack.extend(reversed(list(node.iter(include_text=True))))
    return "".join(parts)


def _is_gutter(node: LexborNode) -> bool:
    names = node.attributes.get("class") or ""
    if "data-line-number" not in node.attributes and not (names and _GUTTER.search(names)):
        return False
    return all(_NUMBER.fullmatch(word) for word in node.text(separator=" ").split())


def _is_line(node: LexborNode) -> bool:
    """Return whether an inline element is one line, and the next line follows it without a line break."""
    names, after = node.attributes.get("class") or "", node.next
    if node.tag not in ("span", "code") or not _LINE.search(names) or after is None or not after.is_element_node:
        return False
    return after.tag == node.tag and _LINE.search(after.attributes.get("class") or "") is not None


def _language(pre: LexborNode) -> str:
    """Return the language that the `pre`, the code in it or an element around it names."""
    near: list[LexborNode] = [each for each in (pre.css_first("code"), pre) if each is not None]
    around = takewhile(lambda above: above.tag not in ("body", "article", "main"), ancestors(pre))
    near += islice(around, 6)
    for node in near:
        attributes = node.attributes
        names = " ".join((attributes.get("class") or "").split())
        figure = _FIGURE.match(names) if node.tag in ("figure", "div") else None
        found = [attributes.get("data-lang"), attributes.get("data-language"), *_LANGUAGE.findall(names)]
        found.append(figure[1] if figure else None)
        for name in found:
            if name and name.lower() not in _NO_LANGUAGE and re.fullmatch(r"[A-Za-z][\w+#.-]{0,29}", name):
                return str(name).lower()
    return ""


def _block(text: str, language: str) -> LexborNode:
    text = re.sub(r"^(?:[ \t]*\n)+", "", text).rstrip()
    named = f' class="language-{html.escape(language)}"' if language else ""
    return element(f"<pre><code{named}>{html.escape(text)}</code></pre>")


def _write_table(table: LexborNode) -> None:
    """Replace a table of code with line numbers by the code."""
    rows = [list(_cells(row)) for row in _rows(table)]
    titles = []
    while rows and len(rows[0]) == 1 and len(rows) > 1:
        titles += rows.pop(0)
    named = _CODE_TABLE.search(table.attributes.get("class") or "") is not None
    found = _numbered(rows, in_code=named or inside(table, "pre"))
    if found is None:
        return
    text = "".join(line if line.endswith("\n") else f"{line}\n" for line in map(_line_text, found))
    if inside(table, "pre"):
        table.replace_with(text)
        return
    first = found[0].css_first("pre") or found[0].css_first("code") or found[0]
    for title in titles:
        if title.text().strip():
            table.insert_before(element(f"<p>{html.escape(' '.join(title.text().split()))}</p>"))
    table.replace_with(_block(text, _language(first)))


def _line_text(cell: LexborNode) -> str:
    # Indentation around a `pre` is the page's own.
    inner = cell.css_first("pre")
    return text_of(inner if inner is not None and len(cell.css("pre")) == 1 else cell)


def _numbered(rows: Sequence[Sequence[LexborNode]], *, in_code: bool) -> list[LexborNode] | None:
    """Return the cells with code, if the cells before them are line numbers and nothing else."""
    if not rows or any(len(row) < 2 for row in rows):
        return None
    numbers: list[int] = []
    for row in rows:
        before = [word for cell in row[:-1] for word in _number_words(cell)]
        if not all(_NUMBER.fullmatch(word) for word in before):
            return None
        numbers += [int(word.rstrip(".:")) for word in _number_words(row[-2])]
    code = [row[-1] for row in rows]
    looks = all(_looks_like_code(cell) or in_code for cell in code)
    if not looks or (not numbers and len(rows[0]) == 2):
        return None
    if len(rows[0]) == 2 and any(after - before != 1 for before, after in pairwise(numbers)):
        return None
    return code


def _number_words(cell: LexborNode) -> list[str]:
    words = cell.text(separator=" ").split()
    return words or [value for value in [cell.attributes.get("data-line-number")] if value]


def _looks_like_code(cell: LexborNode) -> bool:
    return cell.css_first("pre, code") is not None or _CODE.search(cell.attributes.get("class") or "") is not None


def _unroll(page: LexborHTMLParser, table: LexborNode) -> None:
    """Write a table with code of several lines, which Markdown's tables cannot hold, as one cell below the other."""
    rows = [list(_cells(row)) for row in _rows(table)]
    names: list[str] = []
    if len(rows) > 1 and all(cell.tag == "th" for cell in rows[0]):
        names = [" ".join(cell.text().split()) for cell in rows.pop(0)]
    parts = [f"<p>{each.inner_html}</p>" for each in table.css("caption")[:1]]
    for row in rows:
        for number, cell in enumerate(row):
            name = names[number] if number < len(names) and len(names) == len(row) else ""
            label = f"<strong>{html.escape(name)}:</strong> " if name else ""
            inner = cell.inner_html or ""
            if cell.css_first("pre, table, p, ul, ol, div") is None:
                parts.append(f"<p>{label}{inner}</p>")
            else:
                parts.append(f"<p>{label}</p>{inner}" if label else f"<div>{inner}</div>")
    table.replace_with(element(f"<div>{''.join(parts)}</div>"))


def _rows(table: LexborNode) -> Iterator[LexborNode]:
    for part in table.iter():
        if part.tag == "tr":
            yield part
        elif part.tag in ("thead", "tbody", "tfoot"):
            yield from (each for each in part.iter() if each.tag == "tr")


def _cells(row: LexborNode) -> Iterator[LexborNode]:
    return (each for each in row.iter() if each.tag in ("td", "th"))
