"""A separate process converts any HTML to Markdown, within its limits."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_host import ToolError
from mcp_plugin_fetch import conversion
from mcp_plugin_fetch.conversion import Converted
from mcp_plugin_fetch_worker import pages

pytestmark = pytest.mark.anyio

MIB = 2**20
BASE = "http://site.test/a/b"


async def convert(html: str, *, memory: int = 1024, most: int = MIB) -> Converted:
    with anyio.fail_after(120):
        data = html.encode("utf-8", "surrogatepass")
        return await conversion.convert("html", data, BASE, memory=memory * MIB, most=most)


async def test_a_page_becomes_markdown_with_its_title() -> None:
    page = await convert("<title> A\n title </title><h2>B</h2><p>c <em>d</em> <a href='../e'>f</a>")
    assert page.text == "## B\n\nc *d* [f](http://site.test/e)"
    assert page.facts == {"title": "A title", "description": "", "refresh": None, "incomplete": False}


async def test_scripts_styles_navigation_and_hidden_text_are_left_out() -> None:
    page = await convert(
        "<nav>menu</nav><script>s()</script><style>p{}</style><template>t</template><p hidden>h1</p>"
        "<p style='display: none'>h2</p><p>kept</p><img alt=dot src='data:image/png;base64,AAAA'>"
    )
    assert page.text == "kept\n\ndot"


async def test_a_page_with_nothing_but_navigation_is_still_shown() -> None:
    assert (await convert("<nav><a href=/x>only this</a></nav>")).text == "[only this](http://site.test/x)"


async def test_the_text_of_a_form_is_shown() -> None:
    assert (await convert("<form><p>all of the page</p></form>")).text == "all of the page"


async def test_a_page_may_be_nested_deeper_than_any_parser_recurses() -> None:
    page = await convert("<p>before</p>" + "<div>" * 100_000 + "<b>deep</b>" + "</div>" * 100_000)
    assert page.text.startswith("before")
    assert page.facts["incomplete"]


async def test_a_page_that_would_fill_the_memory_is_only_an_error() -> None:
    bomb = "<blockquote>" * 500 + "<p>x</p>" * 650_000 + "</blockquote>" * 500
    with pytest.raises(ToolError, match="could not be converted within 512 MiB"):
        await convert(bomb, memory=512)
    assert (await convert("<p>next")).text == "next"


async def test_a_page_whose_markdown_is_too_long_is_an_error() -> None:
    with pytest.raises(ToolError, match="more than 1,000 bytes of text"):
        await convert("x" * 1001, most=1000)
    assert len((await convert("x" * 1000, most=1000)).text) == 1000


async def test_a_conversion_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "SECONDS", 0.01)
    with pytest.raises(ToolError, match=r"took longer than 0\.01 s"):
        await convert("<a href=x><b>" * 100_000)


@pytest.mark.parametrize("html", ["", " ", "\0", "<", "<!--", "<p", "&#0;", "&#x110000;", "<title>", "</p>", "\ufffe"])
async def test_broken_html_is_not_an_error(html: str) -> None:
    assert not (await convert(html)).facts["title"]


@given(st.text(alphabet=st.sampled_from("<>/!-abdhilpt &;#x0='\"\n\0é🐧")))
@settings(max_examples=300)
def test_any_text_can_be_converted(html: str) -> None:
    facts, text = pages.convert(html, BASE)
    assert isinstance(text, str)
    assert not facts["incomplete"]


async def test_the_worker_does_not_get_the_secrets_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FETCH_TOKEN", "hunter2")
    assert "FETCH_TOKEN" not in conversion._environment()
    assert "PATH" in conversion._environment()
