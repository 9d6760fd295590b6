"""The resources: each root's listing and every file and folder in it, with completion of paths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

from mcp_host import Completion, ReadResourceContents, Resource, ResourceError, ResourceNotFoundError
from mcp_plugin_files.errors import FileMissingError, FileRefusedError
from mcp_plugin_files.folders import kind_of
from mcp_plugin_files.folderview import list_folder
from mcp_plugin_files.listing import Walk
from mcp_plugin_files.media import type_of_bytes, type_of_text
from mcp_plugin_files.paths import Parts, completable, parts_of, uri_of
from mcp_plugin_files.reading import read_whole
from mcp_plugin_files.roots import Root
from mcp_plugin_files.served import Files
from mcp_plugin_files.settings import Settings
from mcp_plugin_files.tools.parameters import FilesContext

TEMPLATE: Final = "files://{root}/{+path}"
JSON: Final = "application/json"


def resources_of(settings: Settings) -> Iterator[Resource]:
    """Yield a listing for each root, and the template for their files and folders."""
    for name, folder in settings.folders.items():
        yield Resource(
            uri_of(name, ()),
            _root_reader(name),
            name=name,
            title=f"Folder {name}",
            description=folder.description or f"The files and folders in {name}, as JSON.",
            mime_type=JSON,
        )
    if settings.folders:
        yield Resource(
            TEMPLATE,
            read_path,
            name="file",
            title="File",
            description="A file's text or bytes, or a folder's listing as JSON.",
        )


def _root_reader(name: str) -> Any:
    async def read_root(ctx: FilesContext) -> ReadResourceContents:
        return await read_path(name, "", ctx)

    return read_root


async def read_path(root: str, path: str, ctx: FilesContext) -> ReadResourceContents:
    """Return a file's text or bytes, or a folder's listing."""
    files = ctx.state
    with _for_the_client():
        chosen, parts = files.roots.get(root), parts_of(path)
        return await files.walk(lambda walk: _read(files, chosen, parts, walk))


def _read(files: Files, root: Root, parts: Parts, walk: Walk) -> ReadResourceContents:
    if not parts or _is_folder(root, parts):
        listing = list_folder(root, parts, walk, files.settings.max_results)
        return ReadResourceContents(listing.model_dump_json(indent=2), JSON)
    contents = read_whole(root, parts, files.settings.max_bytes)
    if contents is None:
        raise FileRefusedError(
            f"{uri_of(root.name, parts)} has more than {files.settings.max_bytes} bytes (max_bytes): "
            "use the tool read_file to read its text by lines."
        )
    if contents.encoding is None:
        return ReadResourceContents(contents.data, type_of_bytes(parts[-1], contents.data))
    return ReadResourceContents(contents.encoding.decode(contents.data), type_of_text(parts[-1]))


def _is_folder(root: Root, parts: Parts) -> bool:
    root.require_served(parts)
    with root.open(parts[:-1]) as folder, root.explained(parts, folder):
        return kind_of(folder.stat(parts[-1])) == "folder"


@contextmanager
def _for_the_client() -> Iterator[None]:
    try:
        yield
    except FileMissingError as error:
        raise ResourceNotFoundError(str(error)) from None
    except FileRefusedError as error:
        raise ResourceError(str(error)) from None


def completions() -> tuple[Completion, ...]:
    """Return the completers of the template's two variables."""
    return (Completion(TEMPLATE, "root", complete_root), Completion(TEMPLATE, "path", complete_path))


def complete_root(value: str, ctx: FilesContext) -> list[str]:
    """Return the roots that begin with the typed text."""
    return [name for name in ctx.state.roots.names if name.startswith(value.lower())]


async def complete_path(value: str, arguments: dict[str, str], ctx: FilesContext) -> Iterable[str]:
    """Return the entries of the typed folder that begin with the typed name. Folders end with a slash."""
    files = ctx.state
    typed, _, name = value.rpartition("/")
    try:
        root, parts = files.roots.get(arguments.get("root")), parts_of(typed)

        def look(walk: Walk) -> list[str]:
            with closing(walk.of(root, parts, deep=False)) as found:
                return [
                    completable(each.path) + ("/" if each.kind == "folder" else "")
                    for each in found
                    if each.kind in ("file", "folder") and each.parts[-1].lower().startswith(name.lower())
                ]

        return await files.walk(look)
    except FileRefusedError:
        return []  # The typed folder does not exist, so there is no completion.
