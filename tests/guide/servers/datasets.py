"""Works through large files, and reads what other plugins serve."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mcp_host import Context, Plugin, ResourceError, ToolError


class Settings(BaseModel, extra="forbid"):
    folder: Path


plugin = Plugin(settings=Settings)


@plugin.tool(read_only=True)
async def process_large_dataset(dataset_name: str, ctx: Context[Settings], chunk_size: int = 1000) -> str:
    """Process a large dataset with progress reporting."""
    files = {file.stem: file for file in ctx.settings.folder.glob("*.csv")}
    if dataset_name not in files:
        raise ToolError(f"There is no dataset {dataset_name!r}, but {', '.join(files)}.")
    await ctx.info(f"Starting processing of {dataset_name}")
    lines = files[dataset_name].read_text(encoding="utf-8").splitlines()[1:]
    total = 0.0
    for start in range(0, len(lines), chunk_size):
        chunk = lines[start : start + chunk_size]
        total += sum(float(line) for line in chunk)
        done = start + len(chunk)
        await ctx.report_progress(done, len(lines), f"Processed {done}/{len(lines)} items")
    await ctx.info(f"Finished processing {dataset_name}")
    return f"{len(lines)} items, sum {total:g}"


@plugin.tool(read_only=True)
async def read_and_analyze_resource(resource_uri: str, ctx: Context) -> dict[str, Any]:
    """Read a resource and perform analysis."""
    try:
        first, *_ = await ctx.read_resource(resource_uri)
    except ResourceError as error:
        await ctx.error(f"Failed to read resource: {error}")
        raise ToolError(str(error)) from error
    text = first.content if isinstance(first.content, str) else first.content.decode()
    return {
        "resource_uri": resource_uri,
        "content_length": len(text),
        "word_count": len(text.split()),
        "line_count": len(text.splitlines()),
        "request_id": ctx.request_id,
        "client_id": ctx.client_id,
    }
