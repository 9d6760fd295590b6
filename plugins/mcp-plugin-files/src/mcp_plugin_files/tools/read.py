"""`read_file` returns the lines of a text, an image, a sound, or other bytes."""

from __future__ import annotations

import base64
from typing import Annotated

from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    TextContent,
)
from pydantic import Field

from mcp_host import Tool, ToolError
from mcp_host.encodings import readable
from mcp_plugin_files.media import type_of_bytes
from mcp_plugin_files.paths import Parts, parts_of, uri_of
from mcp_plugin_files.reading import Contents, Excerpt, excerpt_of_text, in_words, read_part, read_whole
from mcp_plugin_files.roots import Root
from mcp_plugin_files.served import Files
from mcp_plugin_files.tools.parameters import FileParam, FilesContext, RootParam, for_the_model


async def read_file(
    path: FileParam,
    ctx: FilesContext,
    root: RootParam = None,
    start_line: Annotated[int, Field(ge=1, description="The first line to read, from 1. For text only.")] = 1,
    end_line: Annotated[int | None, Field(ge=1, description="The last line to read; default: the end.")] = None,
) -> CallToolResult:
    """Read a file. First comes a line about it, with its hash for write_file and edit_file, then the unchanged text.

    Long texts are cut at a line, and the first line says where to continue. Images, sounds and other binary files are
    returned as such.
    """
    if end_line is not None and end_line < start_line:
        raise ToolError(f"end_line is {end_line}, before start_line, which is {start_line}.")
    files = ctx.state
    with for_the_model():
        chosen, parts = files.roots.get(root), parts_of(path)
        blocks = await files.run(lambda: _read(files, chosen, parts, start_line, end_line))
    return CallToolResult(content=blocks)


def _read(files: Files, root: Root, parts: Parts, first: int, last: int | None) -> list[ContentBlock]:
    most, uri = files.settings.max_bytes, uri_of(root.name, parts)
    contents = read_whole(root, parts, most)
    if contents is None:
        part = read_part(root, parts, first, last, files.settings.max_characters, files.settings.max_scan_bytes)
        facts = [f"{part.size} bytes", f"larger than max_bytes ({most}), so it has no hash and cannot be changed"]
        return _text(uri, part.excerpt, in_words(part.encoding), facts)
    facts = [f"{len(contents.data)} bytes", f"hash {contents.hash}"]
    if contents.encoding is None:
        return _bytes(uri, parts[-1], contents, facts)
    exact = contents.encoding.decode_exactly(contents.data)
    text = readable(exact)
    encoding = in_words(contents.encoding, text.count("\ufffd") - exact.count("\ufffd"))
    return _text(uri, excerpt_of_text(text, first, last, files.settings.max_characters), encoding, facts)


def _text(uri: str, excerpt: Excerpt, encoding: str, facts: list[str]) -> list[ContentBlock]:
    if excerpt.last < excerpt.first and excerpt.first > 1:
        raise ToolError(f"{uri} has {excerpt.lines} lines: there is no line {excerpt.first}.")
    lines = f"lines {excerpt.first} to {excerpt.last}" if excerpt.last >= excerpt.first else "no lines"
    if excerpt.lines:
        lines += f" of {excerpt.lines}"
    about = [uri, lines, encoding, *facts]
    if excerpt.cut:
        about.append(f"cut here: go on with start_line={excerpt.last + 1}")
    return [TextContent(type="text", text=text) for text in (", ".join(about), excerpt.text)]


def _bytes(uri: str, name: str, contents: Contents, facts: list[str]) -> list[ContentBlock]:
    media_type = type_of_bytes(name, contents.data)
    data = base64.b64encode(contents.data).decode()
    content: ContentBlock
    if media_type.startswith("image/"):
        content = ImageContent(type="image", data=data, mime_type=media_type)
    elif media_type.startswith("audio/"):
        content = AudioContent(type="audio", data=data, mime_type=media_type)
    else:
        blob = BlobResourceContents(uri=uri, mime_type=media_type, blob=data)
        content = EmbeddedResource(type="resource", resource=blob)
    return [TextContent(type="text", text=", ".join([uri, media_type, *facts])), content]


READ_FILE = Tool(read_file, title="Read a file", read_only=True, idempotent=True, open_world=False)
