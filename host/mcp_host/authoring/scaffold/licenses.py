"""The licenses that a new project can have; their texts are templates."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class License(StrEnum):
    """What `--license` takes."""

    MIT = "mit"
    APACHE_2_0 = "apache-2.0"
    BSD_3_CLAUSE = "bsd-3-clause"
    NONE = "none"


SPDX: Final = {License.MIT: "MIT", License.APACHE_2_0: "Apache-2.0", License.BSD_3_CLAUSE: "BSD-3-Clause"}
"""How `pyproject.toml` says it (PEP 639)."""
