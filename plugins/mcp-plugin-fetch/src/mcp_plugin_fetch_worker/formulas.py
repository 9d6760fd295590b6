"""Writes each formula of a page once, as TeX between dollar signs, and superscripts so that 10⁹ is not 109."""

from __future__ import annotations

import re
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

from mcp_plugin_fetch_worker.trees import inside

_TEX: Final = 'annotation[encoding*="tex" i]'
_RENDERED: Final = (
    *(".katex", ".MathJax", ".MathJax_Display", ".MathJax_SVG", ".MathJax_SVG_Display", ".MathJax_CHTML"),
    "mjx-container",
)
_IMAGES: Final = 'img.latex[alt], img.tex[alt], img.mathtex[alt], img[class*="mwe-math"][alt]'
_DISPLAY: Final = re.compile(r"^\{\\(?:displaystyle|textstyle)\s+(.*)\}$", re.DOTALL)
_DEEPEST: Final = 64

_UP: Final = dict(zip("0123456789+-\u2212=()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿ", strict=True))
_DOWN: Final = dict(zip("0123456789+-\u2212=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎", strict=True))
_ORDINAL: Final = re.compile(r"(?:st|nd|rd|th|e|er|re|ère|ème|o|a|º|ª|tm|sm|[®™℠*†‡§¶]+)", re.IGNORECASE)


def write_formulas(page: LexborHTMLParser) -> None:
    """Replace what KaTeX, MathJax, MathML and pictures of formulas have put into the page."""
    for script in page.css('script[type^="math/"]'):
        _write_script(script)
    for preview in page.css(".MathJax_Preview"):
        preview.remove()
    for wiki in page.css(".mwe-math-element"):
        _write_rendered(wiki)
    for rendered in page.css(", ".join(_RENDERED)):
        if not inside(rendered, *_RENDERED):
            _write_rendered(rendered)
    for math in page.css("math"):
        _write(math, tex_of(math), math.attributes.get("display") == "block")
    for image in page.css(_IMAGES):
        _write(image, _stripped(image.attributes.get("alt") or ""), display=False)


def write_scripts(page: LexborHTMLParser) -> None:
    """Replace `sup` and `sub`: 10⁹, m², x^(a+b), H₂O, a_(max). References to notes, which are links, stay."""
    for tag, signs, mark in (("sup", _UP, "^"), ("sub", _DOWN, "_")):
        for node in reversed(page.css(tag)):
            if node.css_first("a, img") is None:
                node.replace_with(_raised(" ".join(node.text().split()), signs, mark))


def _raised(text: str, signs: dict[str, str], mark: str) -> str:
    if all(letter in signs for letter in text):
        return "".join(signs[letter] for letter in text)
    if mark == "^" and (_ORDINAL.fullmatch(text) or text.startswith("[")):
        return text
    return f"{mark}{text}" if len(text) == 1 else f"{mark}({text})"


def tex_of(math: LexborNode) -> str:
    """Return the TeX of a `math` element: what its author wrote, or what its elements mean."""
    source = math.css_first(_TEX)
    if source is not None:
        return _stripped(source.text())
    written = math.attributes.get("alttext")
    return _stripped(written) if written else " ".join(_tex(math, 0).split())


def _write_script(script: LexborNode) -> None:
    """Replace MathJax 2's source, and remove what MathJax has rendered before it."""
    kind = (script.attributes.get("type") or "").lower()
    before = script.prev
    while before is not None:
        earlier = before.prev
        if before.is_element_node:
            if "mathjax" not in ((before.attributes.get("class") or "") + (before.attributes.get("id") or "")).lower():
                break
            before.remove()
        elif (before.text_content or "").strip():
            break
        before = earlier
    if kind.startswith("math/tex"):
        _write(script, _stripped(script.text()), "mode=display" in kind)
    elif kind.startswith("math/mml"):
        math = _parsed(script.text())
        _write(script, tex_of(math) if math is not None else "", display=False)


def _write_rendered(node: LexborNode) -> None:
    source = node.css_first(_TEX)
    math = node.css_first("math") or _parsed(node.attributes.get("data-mathml") or "")
    if source is None and math is None:
        image = node.css_first("img[alt]")
        if image is not None:
            _write(node, _stripped(image.attributes.get("alt") or ""), display=False)
        return  # nothing but what is seen
    tex = _stripped(source.text()) if source is not None else tex_of(math) if math is not None else ""
    shown_alone = node.attributes.get("display") == "true" or inside(node, ".katex-display", ".MathJax_Display")
    block = math is not None and math.attributes.get("display") == "block"
    _write(node, tex, shown_alone or block or "display" in (node.attributes.get("class") or "").lower())


def _parsed(html: str) -> LexborNode | None:
    """Return the `math` element of a text."""
    if "<math" not in html:
        return None
    return LexborHTMLParser(html).css_first("math")


def _write(node: LexborNode, tex: str, display: bool) -> None:
    if not tex:
        node.remove()
    else:
        node.replace_with(f"$${tex}$$" if display else f"${tex}$")


def _stripped(tex: str) -> str:
    """Return TeX on one line, without the commands that converters put around it and without the signs of math mode."""
    tex = " ".join(tex.split())
    while found := _DISPLAY.match(tex):
        tex = found[1].strip()
    for left, right in (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
        if tex.startswith(left) and tex.endswith(right) and len(tex) > len(left) + len(right):
            tex = tex[len(left) : -len(right)].strip()
    return tex


def _tex(node: LexborNode, depth: int) -> str:
    """Return presentation MathML (MathML Core) as TeX."""
    if node.is_text_node:
        return node.text_content or ""
    if depth > _DEEPEST:
        return node.text()
    tag = (node.tag or "").lower()
    if tag in ("annotation", "annotation-xml", "mphantom", "mspace", "none", "mprescripts"):
        return " "
    inner = [_tex(each, depth + 1) for each in node.iter(include_text=tag in ("mi", "mn", "mo", "mtext", "ms"))]
    if tag in ("mi", "mn", "mo", "ms"):
        return "".join(inner).strip().replace("\u2061", " ").replace("\u2062", " ")
    if tag == "mtext":
        return rf"\text{{{''.join(inner)}}}"
    form = _FORMS.get(tag)
    if form is not None and len(inner) == form[0]:
        return form[1].format(*inner)
    if tag == "mfenced":
        left, right = node.attributes.get("open") or "(", node.attributes.get("close") or ")"
        return left + ", ".join(inner) + right
    if tag == "msqrt":
        return rf"\sqrt{{{''.join(inner)}}}"
    if tag == "mtable":
        return r"\begin{matrix}" + r" \\ ".join(inner) + r"\end{matrix}"
    return " & ".join(inner) if tag in ("mtr", "mlabeledtr") else " ".join(each for each in inner if each)


_FORMS: Final = {
    "msup": (2, "{0}^{{{1}}}"),
    "msub": (2, "{0}_{{{1}}}"),
    "msubsup": (3, "{0}_{{{1}}}^{{{2}}}"),
    "munder": (2, "{0}_{{{1}}}"),
    "mover": (2, "{0}^{{{1}}}"),
    "munderover": (3, "{0}_{{{1}}}^{{{2}}}"),
    "mfrac": (2, r"\frac{{{0}}}{{{1}}}"),
    "mroot": (2, r"\sqrt[{1}]{{{0}}}"),
}
