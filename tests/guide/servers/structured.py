"""One tool for each kind of structured result."""

import sqlite3
import time
from typing import TypedDict

from pydantic import BaseModel, Field

from mcp_host import Context, Plugin, ToolError


class WeatherData(BaseModel):
    """Weather information structure."""

    temperature: float = Field(description="Temperature in Celsius")
    humidity: float = Field(description="Humidity percentage")
    condition: str
    wind_speed: float


class LocationInfo(TypedDict):
    latitude: float
    longitude: float
    name: str
    country: str


class DatabaseQuery:
    query: str
    execution_time: float
    rows: int
    success: bool

    def __init__(self, query: str, execution_time: float, rows: int, success: bool = True) -> None:
        self.query = query
        self.execution_time = execution_time
        self.rows = rows
        self.success = success


class Settings(BaseModel, extra="forbid"):
    weather: dict[str, WeatherData]
    places: dict[str, tuple[float, float, str]] = Field(description="Latitude, longitude, country.")


plugin = Plugin(settings=Settings)


@plugin.tool(read_only=True)
def get_detailed_weather(city: str, ctx: Context[Settings]) -> WeatherData:
    """Get detailed weather data for a city."""
    if city not in ctx.settings.weather:
        raise ToolError(f"No station in {city!r}; there are some in {', '.join(ctx.settings.weather)}.")
    return ctx.settings.weather[city]


@plugin.tool(read_only=True)
def get_location(address: str, ctx: Context[Settings]) -> LocationInfo:
    """Get location coordinates."""
    if address not in ctx.settings.places:
        raise ToolError(f"{address!r} is not on the map.")
    latitude, longitude, country = ctx.settings.places[address]
    return LocationInfo(latitude=latitude, longitude=longitude, name=address, country=country)


@plugin.tool(read_only=True)
def execute_query(sql: str) -> DatabaseQuery:
    """Execute a database query."""
    db = sqlite3.connect(":memory:")
    started = time.perf_counter()
    try:
        rows = len(db.execute(sql).fetchall())
    except sqlite3.Error as error:
        raise ToolError(f"SQL error: {error}") from error
    finally:
        db.close()
    return DatabaseQuery(sql, time.perf_counter() - started, rows)
