"""Never ends its import, if a host is to serve it. Other commands import all that is installed."""

import sys
import threading

from mcp_host import Plugin

plugin = Plugin()
if "run" in sys.argv:
    threading.Event().wait()
