"""Calculates, and shows how far it has come."""

from typing import Any, Literal

from mcp_host import Context, Plugin, ToolError

plugin = Plugin()


@plugin.tool(read_only=True)
def calculate_statistics(numbers: list[float], operation: Literal["sum", "average", "max", "min"]) -> dict[str, Any]:
    """Perform statistical calculations on a list of numbers."""
    if not numbers:
        raise ToolError("numbers is empty: give at least one.")
    results = {
        "sum": sum(numbers),
        "average": sum(numbers) / len(numbers),
        "max": max(numbers),
        "min": min(numbers),
    }
    return {"operation": operation, "count": len(numbers), "result": results[operation]}


@plugin.tool(read_only=True)
async def long_running_task(task_name: str, ctx: Context, steps: int = 5) -> str:
    """Execute a task with progress updates."""
    await ctx.info(f"Starting: {task_name}")
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps, f"Step {step}/{steps}")
        await ctx.debug(f"Completed step {step}")
    return f"Task '{task_name}' completed"
