"""Never ends its import."""

import threading

threading.Event().wait()
