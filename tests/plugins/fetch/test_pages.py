"""Markdown keeps what a page says: code, formulas, frames; and leaves out what nobody sees."""

# ruff: noqa: E501, RUF001 - pages as generators write them
from __future__ import annotations

from typing import Any

import pytest

from mcp_plugin_fetch_worker.characters import visible
from mcp_plugin_fetch_worker.hidden import hides
from mcp_plugin_fetch_worker.pages import convert
from mcp_plugin_fetch_worker.refresh import parse_refresh


def markdown(html: str) -> str:
    return convert(html, "http://site.test/a/b")[1]


def facts(html: str) -> dict[str, Any]:
    return {key: value for key, value in convert(html, "http://site.test/a/b")[0].items() if value}


# Code

PYGMENTS = """<div class="highlight-python notranslate"><div class="highlight"><table class="highlighttable"><tr>
<td class="linenos"><div class="linenodiv"><pre><span class="normal">1</span>\n<span class="normal">2</span></pre></div>
<td class="code"><div><pre><span></span><span class="k">if</span> x:\n    y()\n</pre></div></td></tr></table></div></div>"""
CHROMA = """<div class="highlight"><div class="chroma"><table class="lntable"><tr><td class="lntd">
<pre tabindex="0" class="chroma"><code><span class="lnt">1\n</span><span class="lnt">2\n</span></code></pre></td>
<td class="lntd"><pre tabindex="0" class="chroma"><code class="language-python" data-lang="python"><span class="line"><span
class="cl">if x:\n</span></span><span class="line"><span class="cl">    y()\n</span></span></code></pre></td></tr></table>
</div></div>"""
HEXO = """<figure class="highlight python"><table><tr><td class="gutter"><pre><span class="line">1</span><br><span
class="line">2</span><br></pre></td><td class="code"><pre><span class="line">if x:</span><br><span
class="line">    y()</span><br></pre></td></tr></table></figure>"""
ROUGE = """<div class="language-python highlighter-rouge"><table class="rouge-table"><tr><td class="rouge-gutter gl"><pre
class="lineno">1\n2\n</pre></td><td class="rouge-code"><pre>if x:\n    y()\n</pre></td></tr></table></div>"""
HLJS = """<pre><code class="hljs language-python"><table class="hljs-ln"><tr><td class="hljs-ln-numbers"><div
class="hljs-ln-n" data-line-number="1"></div></td><td class="hljs-ln-code" data-line-number="1">if x:</td></tr><tr><td
class="hljs-ln-numbers" data-line-number="2"></td><td class="hljs-ln-code" data-line-number="2">    y()</td></tr></table>
</code></pre>"""
BLOB = """<table class="highlight" data-lang="python"><tr><td class="blob-num" data-line-number="1"></td><td
class="blob-code"><span data-language="python"></span>if x:</td></tr><tr><td class="blob-num" data-line-number="2"></td><td class="blob-code">    y()
</td></tr></table>"""
TRAC = """<table class="code"><tr><th id="L1"><a href="#L1">1</a></th><td class="language-python">if x:</td></tr>
<tr><th id="L2"><a href="#L2">2</a></th><td>&nbsp;&nbsp;&nbsp;&nbsp;y()</td></tr></table>"""
INLINE_NUMBERS = """<div class="highlight-python"><pre><span class="linenos">1</span><span class="k">if</span> x:
<span class="linenos">2</span>    y()\n</pre></div>"""
PRETTIFY = (
    '<pre class="prettyprint lang-python"><ol class="linenums"><li><span>if x:</span></li><li>    y()</li></ol></pre>'
)
DIVS = (
    '<pre data-language="python"><code><div class="ec-line">if x:</div><div class="ec-line">    y()</div></code></pre>'
)
TOKENS = """<pre><code class="language-python"><span class="token-line">if x:</span><span
class="token-line">    y()</span></code></pre>"""


@pytest.mark.parametrize(
    "html",
    [PYGMENTS, CHROMA, HEXO, ROUGE, HLJS, BLOB, TRAC, INLINE_NUMBERS, PRETTIFY, DIVS, TOKENS],
    ids=["pygments", "chroma", "hexo", "rouge", "hljs", "blob", "trac", "inline", "prettify", "divs", "tokens"],
)
def test_code_with_line_numbers_keeps_its_lines_and_loses_the_numbers(html: str) -> None:
    assert markdown(f"<p>before</p>{html}<p>after") == "before\n\n```python\nif x:\n    y()\n```\n\nafter"


def test_empty_lines_and_numbers_that_are_code_stay() -> None:
    lines = '<pre><div class="line">1</div><div class="line"></div><div>  2</div></pre>'
    assert markdown(lines) == "```\n1\n\n  2\n```"
    assert markdown('<pre>x = <span class="ln">abs</span>(1)</pre>') == "```\nx = abs(1)\n```"
    assert markdown("<pre>a ``` b\n```\nc &lt;d&gt;</pre>") == "````\na ``` b\n```\nc <d>\n````"


def test_code_in_a_cell_of_a_table_keeps_its_lines() -> None:
    page = (
        "<table><tr><th>Name<th>Example<tr><td>if<td><pre>if x:\n    y()</pre><tr><td>pass<td><pre>pass</pre></table>"
    )
    assert markdown(page) == (
        "**Name:** if\n\n**Example:**\n\n```\nif x:\n    y()\n```\n\n**Name:** pass\n\n**Example:**\n\n```\npass\n```"
    )


def test_a_table_of_data_stays_a_table() -> None:
    assert markdown("<table><tr><td>1<td>Ann<tr><td>2<td><code>Bob</code> x</table>").startswith("```\n") is False
    assert markdown("<table><tr><th>n<th>v<tr><td>1<td>10<tr><td>2<td>20</table>") == (
        "| n | v |\n| --- | --- |\n| 1 | 10 |\n| 2 | 20 |"
    )


# Formulas

KATEX = """<span class=katex><span class=katex-mathml><math><semantics><mrow><mi>m</mi><msup><mi>c</mi><mn>2</mn></msup></mrow>
<annotation encoding="application/x-tex">mc^2</annotation></semantics></math></span><span class=katex-html aria-hidden=true>
<span>m</span><span>c<span>2</span></span></span></span>"""
MATHJAX2 = """<span class="MathJax_Preview">mc2</span><span class="MathJax" id="MathJax-Element-1-Frame" data-mathml="x">mc2<span
class="MJX_Assistive_MathML"><math><mi>m</mi></math></span></span><script type="math/tex">mc^2</script>"""
MATHJAX3 = """<mjx-container jax="CHTML"><mjx-math aria-hidden=true><mjx-c>m</mjx-c></mjx-math><mjx-assistive-mml><math><mi>m</mi>
<msup><mi>c</mi><mn>2</mn></msup></math></mjx-assistive-mml></mjx-container>"""
WIKIPEDIA = r"""<span class="mwe-math-element"><span style="display: none;"><math alttext="{\displaystyle mc^2}"><semantics>
<mrow></mrow><annotation encoding="application/x-tex">{\displaystyle mc^2}</annotation></semantics></math></span><img
src="x.svg" class="mwe-math-fallback-image-inline" alt="{\displaystyle mc^2}"></span>"""


@pytest.mark.parametrize(
    ("html", "tex"),
    [
        (KATEX, "$mc^2$"),
        (f"<span class=katex-display>{KATEX}</span>", "$$mc^2$$"),
        (MATHJAX2, "$mc^2$"),
        ('<script type="math/tex; mode=display">mc^2</script>', "$$mc^2$$"),
        (MATHJAX3, "$m c^{2}$"),
        (WIKIPEDIA, "$mc^2$"),
        ('<math alttext="mc^2"><mi>m</mi></math>', "$mc^2$"),
        ("<math display=block><mi>x</mi></math>", "$$x$$"),
        ("<math><mfrac><mi>a</mi><msqrt><mi>b</mi></msqrt></mfrac></math>", r"$\frac{a}{\sqrt{b}}$"),
        ("<math><munderover><mo>∑</mo><mi>i</mi><mi>n</mi></munderover></math>", "$∑_{i}^{n}$"),
        ("<math><msub><mi>x</mi><mi>i</mi></msub><mo>=</mo><mn>1</mn></math>", "$x_{i} = 1$"),
        ('<img class=latex alt="mc^2" src="/latex.png">', "$mc^2$"),
    ],
)
def test_a_formula_comes_once(html: str, tex: str) -> None:
    assert markdown(f"<p>E = {html} here") == f"E = {tex} here"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("10<sup>9</sup>", "10⁹"),
        ("5 m<sup>2</sup>, 10<sup>-3</sup>", "5 m², 10⁻³"),
        ("H<sub>2</sub>O", "H₂O"),
        ("x<sup>ab</sup> a<sub>max</sub> e<sup>π</sup> x<sub>i</sub>", "x^(ab) a_(max) e^π x_i"),
        ("2<sup>2<sup>n</sup></sup>", "2^(2ⁿ)"),
        ("the 1<sup>st</sup> X<sup>®</sup>", "the 1st X®"),
        ("said<sup><a href=#n>[1]</a></sup>", "said[[1]](http://site.test/a/b#n)"),
    ],
)
def test_superscripts_and_subscripts_differ_from_the_line(html: str, text: str) -> None:
    assert markdown(f"<p>{html}") == text


# What nobody sees


@pytest.mark.parametrize(
    "html",
    [
        "<p hidden>no",
        "<dialog>no</dialog>",
        "<div popover>no</div>",
        "<p style='display: none !important'>no",
        "<p style='DISPLAY:/**/none'>no",
        r"<p style='dis\70lay:none'>no",
        "<p style='visibility:hidden'>no",
        "<p style='opacity: 0'>no",
        "<p style='font-size:0'>no",
        "<p style='font-size: 1px'>no",
        "<p style='position:absolute; left:-9999px'>no",
        "<p style='text-indent:-1000em'>no",
        "<p style='height:1px;width:1px;overflow:hidden'>no",
        "<p style='clip: rect(0, 0, 0, 0)'>no",
        "<p style='clip-path: inset(50%)'>no",
        "<p style='transform: scale(0)'>no",
        "<p style='color: white; background: #fff'>no",
        "<p style='color:transparent'>no",
        "<!-- no -->",
        "<template>no</template>",
        "<p><b aria-hidden=true>seen</b><span>seen</span>",
    ],
)
def test_what_a_browser_does_not_show_is_left_out(html: str) -> None:
    text = markdown(f"<p>seen</p><div>{html}</div>")
    assert "no" not in text
    assert text.count("seen") == 1 + html.count("<span>seen")


@pytest.mark.parametrize(
    "style",
    [
        "opacity:0.5",
        "font-size:0.8em",
        "font-size:10px",
        "left:-20px",
        "margin-left:-600px",
        "color:#fff",
        "display:block",
        "color:#000;background:#fff",
        "width:1px",
        "overflow:hidden;height:10px",
        "transform:scale(0.9)",
        "top:0",
    ],
)
def test_what_a_browser_shows_is_kept(style: str) -> None:
    assert not hides(style)
    assert markdown(f"<p style='{style}'>seen") == "seen"


def test_text_that_is_hidden_from_screen_readers_is_kept_unless_it_is_a_copy() -> None:
    price = "<span class=off>$5.99</span><span aria-hidden=true><span>$5.</span><span>99</span></span>"
    assert markdown(f"<p>{price} <span aria-hidden=true>each</span>") == "$5.99 each"


def test_a_page_whose_body_is_hidden_until_its_script_runs_is_shown() -> None:
    assert markdown("<body style='opacity:0'><p>seen") == "seen"


ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\u200bb\u2060c\ufeffd\u00ade", "abcde"),
        ("of\U000e0073\U000e0065\U000e006e\U000e0064 May", "of May"),
        ("a\u202eb\u2066c\u200ed", "abcd"),
        ("a\u200d\u200c\u200db", "ab"),
        ("x\ufe01\ufe0f\U000e0101", "x"),
        ("a\x00\x1b[0m\x9b", "a[0m"),
        ("tab\tline\nend", "tab\tline\nend"),
        ("می\u200cخواهم क्\u200dष", "می\u200cخواهم क्\u200dष"),
        ("👩\u200d💻 ❤\ufe0f 1\ufe0f⃣ 葛\U000e0100", "👩\u200d💻 ❤\ufe0f 1\ufe0f⃣ 葛\U000e0100"),
        (f"{ENGLAND}!", f"{ENGLAND}!"),
        ("\U0001f3f4\U000e0068\U000e0069\U000e007f", "\U0001f3f4"),
        ("naïve Ünï 日本", "naïve Ünï 日本"),
    ],
)
def test_characters_that_are_not_shown_are_dropped(text: str, seen: str) -> None:
    assert visible(text) == seen
    assert markdown("<p>" + "".join(f"&#{ord(letter)};" for letter in text if letter not in "\x00\x9b\t\n")) == (
        seen.replace("\t", "").replace("\n", "") if "\x1b" not in text else "a[0m"
    )


# Links, frames, and where a page goes on


@pytest.mark.parametrize(
    "href",
    [
        "javascript:x()",
        "JaVaScRiPt:x()",
        " javascript:x",
        "java&#10;script:x",
        "&#1;javascript:x",
        "java&#9;script&colon;x",
        "vbscript:x",
        "data:text/html,x",
        "blob:http://x/y",
        "file:///etc/passwd",
        "view-source:http://x",
    ],
)
def test_a_link_that_runs_or_holds_something_is_only_its_text(href: str) -> None:
    assert markdown(f"<p>a <a href='{href}'>b</a> <a href=/ok>c</a>") == "a b [c](http://site.test/ok)"


def test_links_are_resolved_against_the_pages_base() -> None:
    assert markdown("<base href='/z/'><a href=q>w</a>") == "[w](http://site.test/z/q)"
    assert markdown("<base href='javascript:x'><a href=q>w</a>") == "[w](http://site.test/a/q)"


def test_the_frames_of_a_frameset_are_named() -> None:
    page = "<title>T</title><frameset cols=*><frame src=toc.html name=toc><frame src=/m.html><noframes><p>Use <b>links"
    assert markdown(page) == (
        "The page consists of frames:\n\n- [toc](http://site.test/a/toc.html)\n- [frame](http://site.test/m.html)\n\n"
        "Use **links**"
    )


def test_the_frames_of_a_page_are_links() -> None:
    page = (
        "<iframe src=//y.test/z title=Video></iframe><iframe srcdoc='<p>inside'></iframe><object data=x.pdf></object>"
    )
    assert markdown(page) == "[Video](http://y.test/z)\n\ninside\n\n[frame](http://site.test/a/x.pdf)"
    assert (
        markdown("<p>x<iframe src='javascript:y'></iframe><iframe width=1 height=1 src=//track.test></iframe>") == "x"
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("0; url=/b", (0, "http://site.test/b")),
        ("0;URL='/b'", (0, "http://site.test/b")),
        ("5, c?d=1;e", (5, "http://site.test/a/c?d=1;e")),
        ("1.5; url=//other.test", (1, "http://other.test")),
        ("; url=b", (0, "http://site.test/a/b")),
        ("300", None),
        ("0; url=javascript:x", None),
        ("0; url=data:text/html,x", None),
        ("now; url=/b", None),
    ],
)
def test_a_refresh_is_read_as_browsers_read_it(content: str, expected: tuple[int, str] | None) -> None:
    wanted = {"seconds": expected[0], "url": expected[1]} if expected else None
    assert parse_refresh(content, "http://site.test/a/b") == wanted
    assert facts(f'<meta http-equiv=Refresh content="{content}"><p>x').get("refresh") == wanted


def test_a_refresh_for_browsers_without_javascript_is_not_the_pages_own() -> None:
    assert facts("<head><noscript><meta http-equiv=refresh content='0;url=/no'></noscript></head><p>x") == {}


def test_a_page_that_is_only_javascript_is_called_that() -> None:
    page = (
        "<title>App</title><meta name=description content='Prices of May'><div id=root></div><script src=a.js></script>"
    )
    found = facts(page + "<noscript>You need to enable JavaScript.</noscript>")
    assert found == {"title": "App", "description": "Prices of May", "script": "all"}
    assert markdown(page + "<noscript>You need to enable JavaScript.</noscript>") == "You need to enable JavaScript."
    assert facts("<script>window.location.replace('/latest/')</script>")["goes_on"] == "http://site.test/latest/"
    assert facts("<p>Loading...</p><div id=app></div><script>x</script>")["script"] == "most"
    assert "script" not in facts("<p>Hello</p><script>x</script>")
    assert "script" not in facts("<p>Hello</p><script type='application/ld+json'>{}</script>")
