"""The contract of plugins: what a plugin may be relied on for, each rule checked by running the plugin.

`suite` has `contract()`, which checks all of it · `rules` what is asked · `targets` which plugin is meant ·
`subprocess` the fresh interpreters that look at it, `observations` what they report · `imports` importing it,
`lifecycle` loading, starting and stopping it, `definitions` what clients see of it · `report` what was found.
"""

from mcp_host.authoring.plugincheck.report import ContractBrokenError, ContractReport, Finding, Outcome
from mcp_host.authoring.plugincheck.rules import RULES, Rule, Severity
from mcp_host.authoring.plugincheck.suite import contract

__all__ = [
    "RULES",
    "ContractBrokenError",
    "ContractReport",
    "Finding",
    "Outcome",
    "Rule",
    "Severity",
    "contract",
]
