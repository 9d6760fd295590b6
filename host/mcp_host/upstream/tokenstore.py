"""Where the tokens of remote servers are kept: in the system's keyring, or in a file that only the owner may read."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mcp_host.errors import HostError, text_of
from mcp_host.system.files import atomic_write

_FORMAT: Final = 1
_SERVICE: Final = "mcp-host"
_REAL: Final = 1
"""The lowest priority of a backend of `keyring` that is more than a plain file, or none at all."""


class KeptTokens(BaseModel):
    """The tokens for one server, and what is needed to renew and to revoke them."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    access_token: str = Field(repr=False)
    refresh_token: str | None = Field(default=None, repr=False)
    renew_at: float | None = None
    """Seconds since 1970 at which the access token has nearly expired."""
    scope: str | None = None
    client_id: str
    client_secret: str | None = Field(default=None, repr=False)
    """The secret of a client that registered itself. A secret of the TOML is not kept."""
    auth_method: str | None = None
    issuer: str | None = None
    token_endpoint: str
    revocation_endpoint: str | None = None
    resource: str | None = None

    @property
    def is_stale(self) -> bool:
        return self.renew_at is not None and time.time() >= self.renew_at

    @property
    def secrets(self) -> frozenset[str]:
        """The texts to mask everywhere."""
        return frozenset(filter(None, (self.access_token, self.refresh_token, self.client_secret)))


class TokenStore:
    """The tokens of one plugin for one URL. All methods block, and may be called in any thread.

    The file in the plugin's folder holds the tokens, or says that the keyring does. So it changes with each login.
    """

    def __init__(self, folder: Path, plugin: str, url: str) -> None:
        self.file = folder / "oauth.json"
        self.lock = folder / ".oauth.lock"
        self._plugin = plugin
        self._url = url

    def stamp(self) -> object:
        """Return what changes when somebody logs in or out."""
        try:
            found = self.file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size, found.st_mode

    def load(self) -> KeptTokens | None:
        """Return the tokens, or None if nobody is logged in to this URL.

        Raises:
            HostError: They cannot be read, or others may read them.
        """
        kept = self._index()
        if kept is None or kept.get("server") != self._url:
            return None
        try:
            if "tokens" in kept:
                return KeptTokens.model_validate(kept["tokens"])
            text = self._from_keyring()
            return KeptTokens.model_validate_json(text) if text is not None else None
        except ValidationError:
            raise HostError("its tokens cannot be used", where=self._where, hint=self._hint) from None

    def save(self, tokens: KeptTokens) -> str:
        """Keep the tokens, and return where.

        Raises:
            HostError: They cannot be kept.
        """
        text = tokens.model_dump_json(exclude_none=True)
        keyring = _keyring()
        in_keyring = False
        if keyring is not None:
            try:
                keyring.set_password(_SERVICE, self._user, text)
                in_keyring = True
            except Exception:
                # Locked, or too small for the tokens: the file is used.
                in_keyring = False
        kept: dict[str, Any] = {"format": _FORMAT, "server": self._url, "login": secrets.token_hex(4)}
        if not in_keyring:
            kept["tokens"] = json.loads(text)
        try:
            atomic_write(self.file, json.dumps(kept).encode(), mode=0o600)
        except OSError as error:
            raise HostError(f"the tokens cannot be kept: {error.strerror}", where=str(self.file)) from None
        return f"the keyring ({keyring.get_keyring().name})" if keyring is not None and in_keyring else str(self.file)

    def remove(self) -> None:
        """Forget the tokens.

        Raises:
            HostError: They cannot be removed.
        """
        kept = self._index(strict=False)
        if kept is not None and "tokens" not in kept:
            keyring = _keyring()
            if keyring is not None:
                try:
                    keyring.delete_password(_SERVICE, f"{self._plugin} {kept.get('server')}")
                except keyring.errors.PasswordDeleteError:
                    pass  # It is not there.
                except Exception as error:
                    raise HostError(f"the keyring does not remove the tokens: {text_of(error)}") from None
        self.file.unlink(missing_ok=True)

    @property
    def server(self) -> str | None:
        """The URL that the kept tokens are for."""
        kept = self._index(strict=False)
        return str(kept["server"]) if kept is not None and "server" in kept else None

    @property
    def _user(self) -> str:
        return f"{self._plugin} {self._url}"

    @property
    def _where(self) -> str:
        return str(self.file)

    @property
    def _hint(self) -> str:
        return f"mcp-host login {self._plugin}"

    def _index(self, *, strict: bool = True) -> dict[str, Any] | None:
        try:
            with self.file.open("rb") as file:
                found = os.fstat(file.fileno())
                if strict and sys.platform != "win32":
                    if found.st_mode & 0o077:
                        what = f"others may read its tokens: the mode of {self.file} is {found.st_mode & 0o777:04o}"
                        raise HostError(what, where=self._where, hint=f"chmod 600 {self.file}")
                    if found.st_uid != os.geteuid():
                        raise HostError(f"{self.file} belongs to another user", where=self._where, hint=self._hint)
                kept = json.load(file)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise HostError(f"{self.file} cannot be read: {error.strerror}", where=self._where) from None
        except ValueError:
            kept = None
        return kept if isinstance(kept, dict) and kept.get("format") == _FORMAT else None

    def _from_keyring(self) -> str | None:
        keyring = _keyring()
        if keyring is None:
            what = "its tokens are in a keyring, and no keyring can be used now"
            raise HostError(what, where=self._where, hint=self._hint)
        try:
            text: str | None = keyring.get_password(_SERVICE, self._user)
        except Exception as error:
            raise HostError(f"the keyring cannot be read: {text_of(error)}", where=self._where) from None
        return text


def _keyring() -> Any | None:
    """Return the `keyring` package, if it is installed and keeps secrets in something better than a plain file."""
    try:
        import keyring
        import keyring.errors

        return keyring if keyring.get_keyring().priority >= _REAL else None
    except ImportError:
        return None
    except Exception:
        # A backend that the user names may fail in any way.
        return None
