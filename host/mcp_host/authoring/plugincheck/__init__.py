"""The contract of plugins: what a plugin may be relied on for, each rule checked by running the plugin.

`suite` is the door, `contract()` · `rules` what is asked · `targets` which plugin is meant · `processes` and `child`
the two ends of a fresh interpreter, `observations` what goes between them · `watching` an import, `examining` loading,
starting and stopping, `descriptors` what is open · `imports`, `definitions` (with `texts` and `schemas`) and `living`
apply the rules to what was seen · `report` what comes of it.
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
