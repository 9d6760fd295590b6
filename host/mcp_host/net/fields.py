"""The form of a field in the header of an HTTP request."""

from __future__ import annotations

import re
from typing import Final

from mcp_host.config.values import FIELD_NAME
from mcp_host.errors import HostError

NAME: Final = re.compile(FIELD_NAME)
VALUE: Final = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")
"""RFC 9110 section 5.5: visible characters of ASCII, with spaces and tabs between them."""


def field_of(option: str, *, example: str) -> tuple[str, str]:
    """Return the name and the value in an option `--header 'NAME: VALUE'`.

    Raises:
        HostError: It has another form. The error does not show it, because it may have a secret.
    """
    name, _, value = (part.strip() for part in option.partition(":"))
    if not NAME.fullmatch(name) or not VALUE.fullmatch(value):
        raise HostError("not NAME: VALUE", where="command line: --header", hint=f"--header '{example}'")
    return name, value
