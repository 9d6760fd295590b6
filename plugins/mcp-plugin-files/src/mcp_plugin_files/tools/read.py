"""`read_file` returns the lines of a text, the text of a document, an image, a sound, or other bytes."""

from __future__ import annotations

import base64
from collections.abc import Sequence
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
from mcp_plugin_files.documents import document_kind, document_text
from mcp_plugin_files.errors import FileRefusedError
from mcp_plugin_files.media import type_of_bytes
from mcp_plugin_files.paths import Parts, uri_of
from mcp_plugin_files.reading import (
    Contents,
    Excerpt,
    Span,
    excerpt_of_text,
    in_words,
    read_head,
    read_part,
    read_whole,
)
from mcp_plugin_files.roots import Root
from mcp_plugin_files.served import Files
from mcp_plugin_files.tools.parameters import FilesContext, RootParam, for_the_model

MOST_FILES = 20
"""The most files in one call."""


async def read_file(
    path: Annotated[
        str | Annotated[list[str], Field(min_length=1, max_length=MOST_FILES)],
        Field(description="The file's path in the root, such as notes/today.md, or a list of paths."),
    ],
    ctx: FilesContext,
    root: RootParam = None,
    start_line: Annotated[int, Field(ge=1, description="The first line to read, from 1. For text only.")] = 1,
    end_line: Annotated[int | None, Field(ge=1, description="The last line to read; default: the end.")] = None,
    tail: Annotated[int | None, Field(ge=1, description="Read only so many lines at the end.")] = None,
) -> CallToolResult:
    """Read one or several files. First comes a line about the file, with its hash for changes, then the unchanged text.

    Long texts are cut at a line, and the first line says where to continue. PDF and Office documents are returned as
    text; images, sounds and other binary files as such.
    """
    if end_line is not None and end_line < start_line:
        raise ToolError(f"end_line is {end_line}, before start_line, which is {start_line}.")
    if tail is not None and (start_line > 1 or end_line is not None):
        raise ToolError("Give either tail, or start_line and end_line.")
    files, span = ctx.state, Span(start_line, end_line, tail)
    if isinstance(path, str):
        with for_the_model():
            return CallToolResult(content=await _read(files, *files.roots.locate(root, path), span, _room(files, [])))
    blocks: list[ContentBlock] = []
    for each in path:
        room = _room(files, blocks)
        try:
            if room <= 0:
                raise FileRefusedError("Not read, because the result is long enough: read it in another call.")
            blocks += await _read(files, *files.roots.locate(root, each), span, room)
        except FileRefusedError as error:
            blocks.append(TextContent(type="text", text=f"{each}: {error}"))
    return CallToolResult(content=blocks)


def _room(files: Files, blocks: Sequence[ContentBlock]) -> int:
    """Return how many more characters of text may follow the blocks, or 0 after too many bytes of other content."""
    texts = [block.text for block in blocks if isinstance(block, TextContent)]
    other = [block for block in blocks if not isinstance(block, TextContent)]
    if sum(len(_data(block)) for block in other) * 3 // 4 >= files.settings.max_bytes:  # in base64
        return 0
    return files.settings.max_characters - sum(map(len, texts))


def _data(block: ContentBlock) -> str:
    if isinstance(block, ImageContent | AudioContent):
        return block.data
    assert isinstance(block, EmbeddedResource)
    assert isinstance(block.resource, BlobResourceContents)
    return block.resource.blob


async def _read(files: Files, root: Root, parts: Parts, span: Span, room: int) -> list[ContentBlock]:
    most, uri = files.settings.max_bytes, uri_of(root.name, parts)
    contents = await files.run(lambda: read_whole(root, parts, most))
    size, head = (len(contents.data), contents.data) if contents else await files.run(lambda: read_head(root, parts))
    facts = [f"{size} bytes", f"hash {contents.hash}" if contents else _LARGE.format(most)]
    if (kind := document_kind(parts[-1], head)) is not None:
        about = f"text of {type_of_bytes(parts[-1], head)}"
        try:
            text = await document_text(files, root, parts, kind)
        except FileRefusedError as error:
            if contents is None:
                raise FileRefusedError(f"{uri} has no text to return: {error}.") from None
            return _bytes(uri, parts[-1], contents, [*facts, str(error)])
        if text or contents is None:
            return _text(uri, excerpt_of_text(text, span, room), about, facts)
        return _bytes(uri, parts[-1], contents, [*facts, "no text in it"])

    def show() -> list[ContentBlock]:
        if contents is None:
            part = read_part(root, parts, span, room, files.settings.max_scan_bytes)
            return _text(uri, part.excerpt, in_words(part.encoding), facts)
        if contents.encoding is None:
            return _bytes(uri, parts[-1], contents, facts)
        exact = contents.encoding.decode_exactly(contents.data)
        text = readable(exact)
        encoding = in_words(contents.encoding, text.count("\ufffd") - exact.count("\ufffd"))
        return _text(uri, excerpt_of_text(text, span, room), encoding, facts)

    return await files.run(show)


_LARGE = "larger than max_bytes ({}), so it has no hash and cannot be changed"


def _text(uri: str, excerpt: Excerpt, encoding: str, facts: list[str]) -> list[ContentBlock]:
    if excerpt.last < excerpt.first and excerpt.first > 1 and excerpt.lines:
        raise FileRefusedError(f"{uri} has {excerpt.lines} lines: there is no line {excerpt.first}.")
    lines = f"lines {excerpt.first} to {excerpt.last}" if excerpt.last >= excerpt.first else "no lines"
    if excerpt.from_end and excerpt.lines is None:
        lines = f"the last {excerpt.last} lines"
    elif excerpt.lines:
        lines += f" of {excerpt.lines}"
    about = [uri, lines, encoding, *facts]
    if excerpt.cut:
        where = "before these lines" if excerpt.from_end else f"here: go on with start_line={excerpt.last + 1}"
        about.append(f"cut {where}")
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


READ_FILE = Tool(read_file, title="Read files", read_only=True, idempotent=True, open_world=False)
