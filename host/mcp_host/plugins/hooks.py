"""Which hooks an object implements, and what is wrong with those it seems to."""

from __future__ import annotations

import inspect

import pluggy

from mcp_host import hookspecs
from mcp_host.api import PROJECT
from mcp_host.errors import HostError, did_you_mean

HOOKS: frozenset[str] = frozenset(name for name in vars(hookspecs) if name.startswith("mcp_"))


def hooks_of(manager: pluggy.PluginManager, found: object, where: str) -> frozenset[str]:
    """Return the hooks that an object implements, and refuse what pluggy would pass over or call in vain.

    Raises:
        HostError: An unknown hook, one that is left unmarked or no function, implemented twice or as a wrapper,
            or a class in place of an instance.
    """
    implemented: set[str] = set()
    for name in dir(found):
        options = manager.parse_hookimpl_opts(found, name)
        if options is None:
            _refuse_unmarked(found, name, where)
            continue
        hook = options.get("specname") or name
        if hook not in HOOKS:
            if options.get("optionalhook"):
                continue
            raise _unknown_hook(hook, where)
        if options.get("wrapper") or options.get("hookwrapper"):
            raise HostError(
                f"{name} is a hook wrapper, and there is nothing to wrap: each plugin's hooks are called by themselves",
                where=where,
                hint="write @hookimpl without wrapper=True, and return a list",
            )
        if hook in implemented:
            raise HostError(f"{hook} is implemented twice", where=where, hint="return everything from one function")
        if inspect.isclass(found) and inspect.isfunction(inspect.getattr_static(found, name)):
            raise HostError(
                f"{found.__name__} is a class, and its hook {name} needs an instance",
                where=where,
                hint=f"write plugin = {found.__name__}() below it, and name that in the entry point",
            )
        implemented.add(hook)
    return frozenset(implemented)


def _refuse_unmarked(found: object, name: str, where: str) -> None:
    if not name.startswith("mcp_"):
        return
    value = inspect.getattr_static(found, name, None)
    if not callable(value) or inspect.isclass(value):
        return
    home = getattr(value, "__module__", None)
    if name not in HOOKS:
        # A helper that a module imports from elsewhere may be called what it likes.
        if inspect.isroutine(value) and not (inspect.ismodule(found) and home != found.__name__):
            raise _unknown_hook(name, where)
    elif home != hookspecs.__name__:
        marked = getattr(value, f"{PROJECT}_impl", None) is not None
        plain = inspect.isroutine(value) and not marked
        kind = "not marked as a hook implementation" if plain else f"{article(value)}, no function"
        raise HostError(
            f"{name} is {kind}",
            where=where,
            hint="write @hookimpl above it (from mcp_host import hookimpl)",
        )


def _unknown_hook(name: str, where: str) -> HostError:
    return HostError(
        f"{name} is not a hook{did_you_mean(name, HOOKS)}", where=where, hint=f"hooks: {', '.join(sorted(HOOKS))}"
    )


def article(value: object) -> str:
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
