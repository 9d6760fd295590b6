"""Real plugin distributions in a temporary site directory, and `mcp-host` as a process of its own that sees them."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import IO, Any

import pytest
from watchfiles import watch

from support.sites import Site

LONGEST = 60.0
"""Seconds after which a test stops waiting for a process and fails."""

GOOD = '''
"""A bit of everything that works."""
import os
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

from mcp.server.mcpserver import AcceptedElicitation, Elicit, Image, Resolve
from mcp.types import ResourceLink
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse

from mcp_host import Context, Plugin, ToolError


class Settings(BaseModel, extra="forbid"):
    greeting: str = Field("Hello", description="The word to greet with.")


class Level(Enum):
    LOW = "1"
    HIGH = "2"


class Place(BaseModel):
    name: str
    population: int


class Answer(BaseModel):
    colour: Literal["red", "blue"] = Field(description="The colour to paint it in.")
    coats: int = Field(1, ge=1, le=3)
    glossy: bool = False


def trace(line):
    if os.environ.get("GOOD_TRACE"):
        with open(os.environ["GOOD_TRACE"], "a", encoding="utf-8") as file:
            file.write(line + "\\n")


@asynccontextmanager
async def lifespan(plugin):
    trace("start")
    try:
        yield "the state"
    finally:
        trace("stop")


plugin = Plugin(settings=Settings, lifespan=lifespan)


@plugin.tool(read_only=True)
def add(a: int, b: int) -> int:
    """Add two whole numbers."""
    return a + b


@plugin.tool
def greet(name: str, ctx: Context[Settings]) -> str:
    """Greet somebody."""
    return f"{ctx.settings.greeting}, {name}!"


@plugin.tool
def places() -> list[Place]:
    """Some places."""
    return [Place(name="Ulm", population=126949), Place(name="Bern", population=134506)]


@plugin.tool
def state(ctx: Context) -> str:
    """What the lifespan yielded."""
    return str(ctx.state)


@plugin.tool
async def work(steps: int, ctx: Context) -> str:
    """Report progress."""
    for step in range(steps):
        await ctx.report_progress(step + 1, steps, f"step {step + 1}")
    return "worked"


@plugin.tool
async def wander(ctx: Context) -> str:
    """Report progress without a total."""
    await ctx.report_progress(1)
    await ctx.report_progress(2, message="on the way")
    return "there"


@plugin.tool
async def talk(ctx: Context) -> str:
    """Send log messages to the client."""
    await ctx.info("said to the client")
    return "talked"


@plugin.tool
def refuse() -> str:
    """Fail on purpose."""
    raise ToolError("not on a Sunday")


@plugin.tool
def crash() -> str:
    """Fail by accident."""
    raise RuntimeError("the inner workings")


@plugin.tool
def leave() -> str:
    """Try to end the process."""
    raise SystemExit(3)


@plugin.tool
def picture() -> Image:
    """One pixel."""
    return Image(data=b"\\x89PNG pixel", format="png")


@plugin.tool(structured_output=False)
def pictures() -> list[Image]:
    """Two pixels."""
    return [Image(data=b"\\x89PNG one", format="png"), Image(data=b"\\x89PNG two", format="png")]


@plugin.tool(structured_output=False)
def link() -> ResourceLink:
    """Where to look."""
    return ResourceLink(type="resource_link", name="today", uri="note://today")


@plugin.tool
def kinds(text: str = "", number: float = 0, flag: bool = False, maybe: str | None = None,
          choice: Literal["a", "b"] = "a", items: list[int] | None = None, level: Level = Level.LOW
          ) -> dict[str, object]:
    """Show what came in."""
    return {"text": text, "number": number, "flag": flag, "maybe": maybe, "choice": choice, "items": items,
            "level": level.value}


@plugin.tool
async def paint(thing: str, ctx: Context) -> str:
    """Ask how to paint in the middle of the call."""
    answer = await ctx.elicit(f"How shall {thing} be painted?", Answer)
    if answer.action != "accept":
        return f"{answer.action}: left as it is"
    return f"{thing}: {answer.data.coats} x {answer.data.colour}{', glossy' if answer.data.glossy else ''}"


def which_colour() -> Elicit[Answer]:
    return Elicit("Which colour?", Answer)


@plugin.tool
async def dye(thing: str, answer: Annotated[Answer, Resolve(which_colour)]) -> str:
    """Ask before the call."""
    return f"{thing}: {answer.colour}"


class Order(BaseModel):
    sizes: list[Literal["s", "m", "l"]]
    weight: float
    note: str | None = None
    tier: Literal["free", "paid"] = "free"


@plugin.tool(structured_output=False)
async def order(ctx: Context) -> str:
    """Ask for one field of each kind."""
    await ctx.report_progress(1, 2)
    return (await ctx.elicit("What shall it be?", Order)).data.model_dump_json(exclude_none=True)


@plugin.tool
async def sign_in(ctx: Context) -> str:
    """Send the person elsewhere."""
    return (await ctx.elicit_url("Sign in, please.", "https://login.example/", "1")).action


@plugin.tool
async def talk_and_work(ctx: Context) -> str:
    """Report progress and log."""
    await ctx.report_progress(1, 2)
    await ctx.info("half of it")
    await ctx.report_progress(2, 2)
    return "done"


@plugin.tool(description="\x1b[2J wiped")
def evil() -> str:
    return "\x1b[2J"


@plugin.tool
async def hold(ctx: Context) -> str:
    """Say so, then wait for ever."""
    import asyncio
    trace("holding")
    await ctx.report_progress(0, message="holding")
    try:
        await asyncio.Event().wait()
    finally:
        trace("let go")
    return ""


@plugin.tool
async def take_a_while(ctx: Context) -> str:
    """Say so, and be done half a second later."""
    import asyncio
    await ctx.report_progress(0, message="holding")
    await asyncio.sleep(0.5)
    trace("done")
    return "done"


@plugin.tool
def hang() -> str:
    """Hang in a thread, where nothing can stop it."""
    import threading
    trace("hanging")
    threading.Event().wait()
    return ""


@plugin.resource("note://today")
def today() -> str:
    """The note of the day."""
    return "buy milk"


@plugin.resource("note://by/{author}")
def by(author: str) -> str:
    """The notes of an author."""
    return f"notes by {author}"


@plugin.resource("pixel://one", mime_type="image/png")
def pixel() -> bytes:
    """One pixel."""
    return b"\\x89PNG pixel"


@plugin.prompt
def review(topic: str, tone: str = "kind") -> str:
    """Ask for a review."""
    return f"Review {topic} in a {tone} tone."


@plugin.completion("review", "topic")
def topics(value: str) -> list[str]:
    return [topic for topic in ("cats", "cars", "dogs") if topic.startswith(value)]


@plugin.completion("note://by/{author}", "author")
def authors(value: str) -> list[str]:
    return ["ann", "bob"]


@plugin.route("/good/health")
async def health(request):
    return PlainTextResponse("well")


@plugin.check
def is_ready() -> str | None:
    return os.environ.get("GOOD_TROUBLE")
'''

NOISY = '''
"""Writes to stdout by every means there is."""
import atexit
import ctypes
import os
import subprocess
import sys
import threading
from contextlib import asynccontextmanager

from mcp_host import Plugin

SHOUT = "NOISE"
libc = ctypes.CDLL(None)


def in_c(when, *, flushed):
    line = f"{SHOUT} of C {when}\\n".encode()
    libc.write(1, line, len(line))
    # stdio's own buffer: what nobody flushes is written as the process ends.
    libc.printf(b"%s", f"{SHOUT} of printf {when}\\n".encode())
    if flushed:
        libc.fflush(None)


def on_and_on():
    while True:
        os.write(1, f"{SHOUT} of a thread that goes on\\n".encode())
        written.set()
        if enough.wait(0.001):
            return


def at_exit():
    print(f"{SHOUT} at exit\\n", end="", flush=True)
    os.write(1, f"{SHOUT} raw at exit\\n".encode())
    in_c("at exit", flushed=False)


print(f"{SHOUT} at import\\n", end="", flush=True)
os.write(1, (SHOUT + " raw at import\\n").encode())
subprocess.run([sys.executable, "-c", f"print({SHOUT!r} + ' of a child at import')"], check=True)
in_c("at import", flushed=True)
in_c("at import, unflushed", flushed="NOISE_TO_THE_END" not in os.environ)
written, enough = threading.Event(), threading.Event()
if "NOISE_TO_THE_END" in os.environ:  # not in the process of the tests, which goes on
    atexit.register(at_exit)
    threading.Thread(target=on_and_on, daemon=True).start()
    written.wait()


@asynccontextmanager
async def lifespan(plugin):
    shout("at the start")
    yield
    shout("at the stop")


plugin = Plugin(lifespan=lifespan)


def shout(when):
    print(f"{SHOUT} {when}\\n", end="", flush=True)  # in one write, as other threads write too
    sys.stdout.write(f"{SHOUT} written {when}\\n")
    sys.__stdout__.write(f"{SHOUT} written to __stdout__ {when}\\n")
    sys.__stdout__.flush()
    os.write(1, f"{SHOUT} raw {when}\\n".encode())
    os.system(f"echo {SHOUT} of the shell {when}")
    subprocess.run([sys.executable, "-c", f"print({SHOUT!r}, 'of a child', {when!r})"], check=True)
    in_c(when, flushed=True)


@plugin.tool
def noise() -> str:
    """Make noise in a thread."""
    shout("in a thread")
    return "quiet"


@plugin.tool
async def noise_on_the_loop() -> str:
    """Make noise on the event loop, and read stdin as well."""
    shout("on the loop")
    return repr(sys.stdin.read() if sys.stdin else None)


@plugin.tool
def outlive() -> str:
    """Leave a child behind that writes to stdout when the host is gone."""
    source = f"import os, sys; sys.stdin.read(); os.write(1, b'{SHOUT} of a child that outlives\\\\n')"
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    # Its stdin ends with the host, which holds the other end of the pipe.
    subprocess.Popen([sys.executable, "-c", source], stdin=reading, start_new_session=True)
    os.close(reading)
    return "quiet"


@plugin.tool
async def fall_silent() -> str:
    """End the thread that goes on."""
    enough.set()
    return "quiet"


@plugin.resource("noise://one")
def one() -> str:
    """Make noise in a resource."""
    shout("in a resource")
    return "quiet"


@plugin.prompt
def noisy() -> str:
    """Make noise in a prompt."""
    shout("in a prompt")
    return "quiet"
'''

VAULT = '''
"""Knows secrets and does not keep them."""
import os
from contextlib import asynccontextmanager

from pydantic import BaseModel, Field, SecretStr

from mcp_host import Context, Plugin, ToolError


class Settings(BaseModel, extra="forbid"):
    token: SecretStr | None = None
    password: str = Field("", description="From a file.")


@asynccontextmanager
async def lifespan(plugin):
    if "VAULT_FRAIL" in os.environ:
        raise ConnectionError(spill(plugin))
    yield


plugin = Plugin(settings=Settings, lifespan=lifespan)


def spill(ctx):
    return f"{ctx.settings.token.get_secret_value()} and {ctx.settings.password}"


@plugin.tool
def log_it(ctx: Context) -> str:
    """Log the secrets."""
    ctx.plugin.log.warning("the secrets are %s", spill(ctx))
    return "logged"


@plugin.tool
def raise_it(ctx: Context) -> str:
    """Raise the secrets."""
    raise RuntimeError(spill(ctx))


@plugin.check
def are_they_good(plugin) -> str | None:
    return f"bad secrets: {plugin.settings.token.get_secret_value()} {plugin.settings.password}"
'''

FRAIL = '''
"""Cannot start: its lifespan fails."""
from contextlib import asynccontextmanager

from mcp_host import Plugin


@asynccontextmanager
async def lifespan(plugin):
    raise ConnectionError("the database is down")
    yield


plugin = Plugin(lifespan=lifespan)


@plugin.tool
def query() -> str:
    """Never served."""
    return ""
'''

DOUBTS = '''
"""Asks itself questions."""
import asyncio
import threading

from mcp_host import Plugin

plugin = Plugin()


@plugin.check
async def all_is_well():
    return None


@plugin.check("the plugin's name")
async def name(plugin):
    return f"it is {plugin.name}"


@plugin.check
def does_it_raise():
    raise SystemExit("it does")


@plugin.check
async def does_it_end():
    await asyncio.Event().wait()


@plugin.check
def does_it_end_in_a_thread():
    threading.Event().wait()
'''

STOPPER = '''
"""Asks its own process to end while it starts, and never starts."""
import asyncio
import os
import signal
from contextlib import asynccontextmanager

from mcp_host import Plugin


@asynccontextmanager
async def lifespan(plugin):
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.Event().wait()
    yield


plugin = Plugin(lifespan=lifespan)
'''

POLLED = '''
"""Has its callers come back for the answer."""
import asyncio

from mcp_host import Context, Plugin

plugin = Plugin()
nudged = asyncio.Event()


@plugin.tool
async def nudge() -> None:
    """Let the other tool go on."""
    nudged.set()


@plugin.tool
async def send_away(times: int, ctx: Context) -> str:
    """End the stream of the call, and wait for a nudge, as often as asked."""
    for time in range(times):
        await ctx.report_progress(time + 1)
        await ctx.close_sse_stream()
        await nudged.wait()
        nudged.clear()
    return "here again"
'''

NEIGHBOUR = '''
"""A plugin that works next to a hostile one."""
import os

from mcp_host import Plugin

plugin = Plugin()


@plugin.tool(structured_output=False)
def neighbour() -> str:
    """Where the process is, and a line for whoever reads stdout."""
    print("printed by a neighbour")
    return os.getcwd()


@plugin.tool(structured_output=False)
def where(fault: str) -> str:
    """A tool whose call the hostile middleware wraps."""
    return os.getcwd()
'''

CARELESS = '''
"""Changes the process wherever its code runs: at import, in its hooks, in its lifespan."""
import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager

from mcp_host import hookimpl

os.chdir("/")
sys.stdout = None
signal.signal(signal.SIGTERM, signal.SIG_IGN)


@hookimpl
def mcp_tools():
    os.chdir("/")
    os.close(1)
    return []


@hookimpl
@asynccontextmanager
async def mcp_lifespan(plugin):
    async def leave():
        await asyncio.sleep(0)
        sys.exit(3)

    os.chdir("/")
    sys.stderr.close()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    asyncio.get_running_loop().call_soon(sys.exit, 3)
    exiting = asyncio.create_task(leave())
    staying = asyncio.create_task(asyncio.Event().wait(), name="staying")
    yield exiting, staying
    os.chdir("/")
    raise SystemExit(4)
'''

DISTRIBUTIONS = {
    "polled": POLLED,
    "neighbour": NEIGHBOUR,
    "careless": CARELESS + "\n\nplugin = sys.modules[__name__]\n",
    "hostile": (Path(__file__).parent / "hostile.py").read_text(encoding="utf-8"),
    "stopper": STOPPER,
    "doubts": DOUBTS,
    "good": GOOD,
    "noisy": NOISY,
    "vault": VAULT,
    "frail": FRAIL,
    "broken": "raise RuntimeError('no such engine')\n",
    "future": "raise AssertionError('a plugin of another host must not be imported')\n",
}


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The backend of every test, in a scope that lets a module share a connected client."""
    return "asyncio"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site directory with the plugins above installed; `cli` and `invoke` have it on their path."""
    folder = tmp_path_factory.mktemp("site")
    site = Site(folder, tmp_path_factory.mktemp("wheels"))
    for name, source in DISTRIBUTIONS.items():
        site.plugin(name, source, requires=("mcp-host>=99" if name == "future" else "mcp-host",))
    return site


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Process:
    """A program running, its stdout read line by line; killed after `longest` seconds: no test waits for ever."""

    def __init__(
        self, args: list[str], folder: Path, env: Mapping[str, str], errors: Path, *, longest: float = LONGEST
    ) -> None:
        self.errors = errors
        self._longest = longest
        with errors.open("wb") as file:
            self._process = subprocess.Popen(
                args, cwd=folder, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True
            )
        self._watchdog = threading.Timer(longest, self._process.kill)
        self._watchdog.start()
        self._deadline = time.monotonic() + longest
        self.lines: list[str] = []
        self.url = ""

    @property
    def stdin(self) -> IO[str]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> IO[str]:
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def err(self) -> str:
        return self.errors.read_text(encoding="utf-8")

    def until(self, text: str) -> str:
        """Read stdout up to the line that contains the text, and return that line."""
        for line in self.stdout:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"no {text!r} in {self.lines} before the end; stderr:\n{self.err}")

    def until_logged(self, text: str) -> None:
        """Wait until stderr has the text."""
        for _ in watch(self.errors, step=10, debounce=10, rust_timeout=200, yield_on_timeout=True):
            if text in self.err:
                return
            assert time.monotonic() < self._deadline, f"no {text!r} in {self.err!r}"

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for the process's own end and return its exit code."""
        try:
            return self._process.wait(self._longest)
        finally:
            self.close()

    def close(self) -> None:
        """Kill the process if it still runs, and let go of its pipes."""
        self._watchdog.cancel()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for stream in (self.stdin, self.stdout):
            stream.close()


@dataclass(frozen=True)
class Cli:
    """A folder with an mcp-host.toml, and `mcp-host` commands run in it with the plugins of `site` installed.

    `through` is the command that starts them, where another one does.
    """

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    longest: float = LONGEST
    through: tuple[str, ...] = ()

    def config(self, text: str, name: str = "mcp-host.toml") -> Path:
        path = self.folder / name
        path.write_text(dedent(text), encoding="utf-8")
        return path

    @property
    def command(self) -> list[str]:
        return [*self.through, sys.executable, "-m", "mcp_host"]

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**self.env, **(extra or {})}

    def run(self, *args: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Done:
        """Run a command to its end."""
        done = subprocess.run(
            [*self.command, *args],
            cwd=self.folder,
            env=self.environment(env),
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=self.longest,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def start(self, *args: str, env: Mapping[str, str] | None = None) -> Iterator[Process]:
        """Start a command, and kill it at the end of the block if it still runs."""
        errors = self.folder / f"stderr-{len(list(self.folder.glob('stderr-*')))}.txt"
        command = [*self.command, *args]
        process = Process(command, self.folder, self.environment(env), errors, longest=self.longest)
        try:
            yield process
        finally:
            process.close()

    @contextmanager
    def serve(self, *args: str, env: Mapping[str, str] | None = None) -> Iterator[Process]:
        """Serve over HTTP on a free port; the block runs once connections are accepted."""
        with self.start("run", "--transport", "http", "--port", "0", *args, env=env) as process:
            process.stdin.close()
            process.url = process.until("Serving ").split(" at ")[1].strip()
            process.until("Ctrl+C")
            yield process


class Invoke:
    """Commands run in this process, which has the SDK imported already: quicker, where a process is not the matter."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture

    def config(self, text: str, name: str = "mcp-host.toml") -> Path:
        path = self.folder / name
        path.write_text(dedent(text), encoding="utf-8")
        return path

    def __call__(self, *args: str) -> Done:
        from mcp_host.__main__ import main

        self._capture.readouterr()
        code = main(args)
        captured = self._capture.readouterr()
        return Done(code, captured.out, captured.err)


@pytest.fixture
def invoke(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Invoke]:
    """Commands in an empty folder of the test's own, in this process."""
    for name in [name for name in os.environ if name.startswith(("MCP_", "GOOD_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.syspath_prepend(str(site.folder))
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {
        name: logging.getLogger(name).level
        for name in ("uvicorn", "mcp", "asyncio", "httpx2", "httpcore2", "watchfiles")
    }
    yield Invoke(tmp_path, capfd)
    root.handlers[:], root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    # Other tests have plugins of the same names.
    site.forget()


def _environment(site: Site, home: Path) -> dict[str, str]:
    """The environment of this process without anything that configures mcp-host, the plugins of `site` on its path."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MCP_", "GOOD_", "PYTHONPATH"))}
    return {**env, "PYTHONPATH": str(site.folder), "HOME": str(home), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def cli(site: Site, tmp_path: Path) -> Cli:
    """Commands in an empty folder of the test's own."""
    return Cli(tmp_path, _environment(site, tmp_path))


@pytest.fixture(scope="module")
def module_cli(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Commands in an empty folder that the tests of one module share."""
    folder = tmp_path_factory.mktemp("shared")
    return Cli(folder, _environment(site, folder))


__all__ = ["Cli", "Done", "Invoke", "Process"]
