"""Converts a page of HTML to Markdown."""

from __future__ import annotations

from typing import Any, Final

from selectolax.lexbor import LexborHTMLParser

from mcp_plugin_fetch_worker.characters import visible
from mcp_plugin_fetch_worker.code import write_code
from mcp_plugin_fetch_worker.formulas import write_formulas, write_scripts
from mcp_plugin_fetch_worker.hidden import remove_hidden
from mcp_plugin_fetch_worker.links import base_of, refresh_of, remove_unsafe_links, script_target, write_frames
from mcp_plugin_fetch_worker.trees import shallow

LONGEST_TITLE: Final = 300
LONGEST_DESCRIPTION: Final = 1000

LITTLE: Final = 200
"""A page with fewer characters may be the frame of an application that a script builds."""

_MOUNTS: Final = (
    "#root, #app, #__next, #__nuxt, #___gatsby, #svelte, app-root, [data-reactroot], [ng-app], [data-server-rendered]"
)


def convert(html: str, base_url: str) -> tuple[dict[str, Any], str]:
    """Return what is known of a page, and its Markdown.

    `title` and `description` are what the page says of itself. `incomplete` means that parts are nested too deeply.
    `refresh` is where the page sends its reader. `script` is "all" if the page has no text without its scripts, "most"
    if it seems to have little, `goes_on` where a script sends the reader.
    """
    html, cut = shallow(html)
    page = LexborHTMLParser(html)
    base = base_of(page, base_url)
    title = _text_of(page, "title", LONGEST_TITLE)
    facts: dict[str, Any] = {"title": title, "description": _description(page), "refresh": refresh_of(page, base)}
    scripts = _has_scripts(page)
    target = script_target(page, base) if scripts else None
    asks = " ".join(each.text() for each in page.css("noscript")).lower()
    write_formulas(page)
    remove_hidden(page)
    write_code(page)
    write_scripts(page)
    remove_unsafe_links(page)
    page = write_frames(page, base)
    mount = any(not each.text().strip() for each in page.css(_MOUNTS))
    text, facts["incomplete"] = _markdown(page.html or "", base)
    facts["incomplete"] |= cut
    if not text and scripts:
        facts |= {"script": "all", "goes_on": target}
        text = _without_script(page, base)
    elif scripts and len(text) < LITTLE and (mount or "javascript" in asks or target):
        facts |= {"script": "most", "goes_on": target}
    return facts, text


def _markdown(html: str, base: str) -> tuple[str, bool]:
    import html_to_markdown as library

    def run(*, all_of_it: bool) -> library.ConversionResult:
        options = library.ConversionOptions(
            base_url=base,
            bullets="-",
            compact_tables=True,
            extract_metadata=False,
            inline_data_media="alt_text_only",
            preprocessing=library.PreprocessingOptions(enabled=not all_of_it, remove_forms=False),
        )
        return library.convert(html, options)

    result = run(all_of_it=False)
    if not (result.content or "").strip():
        # The library removed everything as navigation.
        result = run(all_of_it=True)
    incomplete = any("limit" in str(warning.kind).lower() for warning in result.warnings)
    return visible(result.content or "").strip(), incomplete


def _without_script(page: LexborHTMLParser, base: str) -> str:
    """Return what the page shows to a browser without JavaScript."""
    inner = "".join(each.inner_html or "" for each in page.css("body noscript"))
    return _markdown(inner, base)[0] if inner.strip() else ""


def _has_scripts(page: LexborHTMLParser) -> bool:
    return any(
        each.attributes.get("src") or each.text().strip()
        for each in page.css('script:not([type]), script[type=""], script[type*="javascript"], script[type="module"]')
    )


def _text_of(page: LexborHTMLParser, selector: str, most: int) -> str:
    for node in page.css(selector):
        if node.parent is None or node.parent.tag != "svg":
            return visible(" ".join(node.text().split()))[:most]
    return ""


def _description(page: LexborHTMLParser) -> str:
    for node in page.css('meta[name="description" i], meta[property="og:description"]'):
        if found := " ".join((node.attributes.get("content") or "").split()):
            return visible(found)[:LONGEST_DESCRIPTION]
    return ""
