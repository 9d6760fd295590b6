"""The contract of plugins: rules that each plugin must keep, checked by running the plugin.

`suite` has `contract()`, which checks all rules · `rules` lists them · `targets` finds the plugin ·
`subprocess` runs it in fresh interpreters, and `observations` is what they report · `imports` watches the import,
`lifecycle` loads, starts and stops the plugin, `definitions` checks what clients see · `report` has the results.
"""

from mcp_host.authoring.plugincheck.report import ContractBrokenError, ContractReport, Finding, RuleResult
from mcp_host.authoring.plugincheck.rules import RULES, Rule, Severity
from mcp_host.authoring.plugincheck.suite import contract

__all__ = [
    "RULES",
    "ContractBrokenError",
    "ContractReport",
    "Finding",
    "Rule",
    "RuleResult",
    "Severity",
    "contract",
]
