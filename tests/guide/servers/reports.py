"""Reports and jobs whose input is checked before they begin."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from enum import StrEnum
from typing import Any, Literal

import httpx2
from pydantic import BaseModel, Field

from mcp_host import Context, Plugin, PluginContext, ToolError


class Sale(BaseModel, extra="forbid"):
    day: date
    amount: float


class Settings(BaseModel, extra="forbid"):
    sales: list[Sale] = []
    callbacks: list[str] = Field(default=[], description="URLs that may be called back.")


@asynccontextmanager
async def lifespan(plugin: PluginContext[Settings]) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(timeout=10) as client:
        yield client


plugin = Plugin(settings=Settings, lifespan=lifespan)


@plugin.tool(read_only=True)
async def generate_report(
    report_type: Literal["sales"], first: date, last: date, ctx: Context[Settings]
) -> dict[str, Any]:
    """Generate business reports with comprehensive error handling."""
    if last < first:
        raise ToolError(f"The range ends on {last}, before it begins on {first}.")
    await ctx.info(f"Generating {report_type} report for {first} to {last}")
    amounts = [sale.amount for sale in ctx.settings.sales if first <= sale.day <= last]
    return {"report_type": report_type, "sales": len(amounts), "total": sum(amounts)}


class ProcessingStatus(StrEnum):
    COMPLETED = "completed"
    FAILED = "failed"


class ProcessingRequest(BaseModel):
    data: str = Field(min_length=1, max_length=10000)
    priority: int = Field(1, ge=1, le=5)
    callback_url: str | None = Field(None, pattern=r"^https?://")


class Processed(BaseModel):
    request_id: str
    status: ProcessingStatus
    processed_data: str
    priority: int
    callback_sent: bool = False


@plugin.tool
async def process_data_with_validation(
    request: ProcessingRequest, ctx: Context[Settings, httpx2.AsyncClient]
) -> Processed:
    """Process data with comprehensive validation."""
    done = Processed(
        request_id=ctx.request_id,
        status=ProcessingStatus.COMPLETED,
        processed_data=f"Processed: {request.data[:50]}",
        priority=request.priority,
    )
    if request.callback_url is None:
        return done
    if request.callback_url not in ctx.settings.callbacks:
        raise ToolError(f"{request.callback_url} is not among the URLs that may be called back.")
    response = await ctx.state.post(request.callback_url, json=done.model_dump())
    response.raise_for_status()  # a crash: the caller gets an id, the log the text
    return done.model_copy(update={"callback_sent": True})
