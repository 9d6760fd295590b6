"""Finds where a page goes on (frames, refresh), and removes links that run a script or hold their content."""

from __future__ import annotations

import html
import re
from typing import Any, Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

from mcp_plugin_fetch_worker.refresh import joined, parse_refresh
from mcp_plugin_fetch_worker.trees import element, inside

_NEVER: Final = re.compile(
    r"(?:javascript|vbscript|livescript|mocha|data|blob|filesystem|about|view-source|jar|file)\s*:", re.IGNORECASE
)
_STRIPPED: Final = re.compile(r"[\x00-\x20\x7f-\xa0\u200b-\u200f\u2028\u2029\ufeff]+")
_GOES_ON: Final = re.compile(
    r"""(?:location(?:\.href)?\s*=(?!=)|location\.(?:replace|assign)\s*\()\s*(["'])([^"'\s]{1,2000})\1"""
)


def base_of(page: LexborHTMLParser, url: str) -> str:
    """Return the URL that relative links are resolved against."""
    for base in page.css("base[href]")[:1]:
        address = joined(url, base.attributes.get("href") or "")
        if address.startswith(("http://", "https://")):
            return address
    return url


def refresh_of(page: LexborHTMLParser, base: str) -> dict[str, Any] | None:
    """Return after how many seconds the page sends its reader to which URL, if it does."""
    for meta in page.css('meta[http-equiv="refresh" i]'):
        if not inside(meta, "noscript"):
            return parse_refresh(meta.attributes.get("content") or "", base)
    return None


def script_target(page: LexborHTMLParser, base: str) -> str | None:
    """Return the URL that a script of the page sends its reader to, if the script says it in plain text."""
    for script in page.css("script:not([src])"):
        text = script.text()
        if len(text) < 5000 and (found := _GOES_ON.search(text)):
            url = joined(base, found[2])
            if url.startswith(("http://", "https://")):
                return url
    return None


def write_frames(page: LexborHTMLParser, base: str) -> LexborHTMLParser:
    """Return the page with links to its frames. The body of a frameset is nothing but its frames."""
    for node in page.css("iframe, frame, object[data], embed[src]"):
        if node.tag != "frame" and page.css_first("frameset") is None:
            _write_frame(node, base)
    if page.css_first("frameset") is None:
        return page
    links = "".join(f"<li>{_link(frame, base)}</li>" for frame in page.css("frame[src], iframe[src]"))
    without = "".join(each.text() for each in page.css("noframes"))
    title = "".join(each.html or "" for each in page.css("title")[:1])
    return LexborHTMLParser(f"{title}<p>The page consists of frames:</p><ul>{links}</ul>{without}")


def remove_unsafe_links(page: LexborHTMLParser) -> None:
    """Keep only the text of links whose address is code or content, in whatever spelling."""
    for tag, name in (("a", "href"), ("area", "href"), ("img", "src"), ("q", "cite"), ("blockquote", "cite")):
        for node in page.css(f"{tag}[{name}]"):
            address = _STRIPPED.sub("", node.attributes.get(name) or "")
            if not _NEVER.match(address):
                continue
            if tag == "img" and address[:5].lower() == "data:":
                continue  # the picture's text is shown, its data is not
            del node.attrs[name]
            if tag == "img":
                node.replace_with(node.attributes.get("alt") or "")
            elif tag == "a":
                node.unwrap()


def _write_frame(node: LexborNode, base: str) -> None:
    inner = node.attributes.get("srcdoc") if node.tag == "iframe" else None
    if inner:
        body = LexborHTMLParser(inner).body
        node.replace_with(element(f"<div>{(body.inner_html if body else '') or ''}</div>"))
    elif link := _link(node, base):
        node.replace_with(element(f"<p>{link}</p>"))
    elif node.tag == "iframe":
        node.remove()


def _link(node: LexborNode, base: str) -> str:
    attributes = node.attributes
    url = joined(base, attributes.get("src") or attributes.get("data") or "")
    if not url.startswith(("http://", "https://")):
        return ""
    name = attributes.get("title") or attributes.get("name") or "frame"
    return f'<a href="{html.escape(url)}">{html.escape(name)}</a>'
