"""What a probe is asked, what it answers, and how it fails: shared by all kinds."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nexa_node.adapters.probes.secret import Exposed, read_secret
from nexa_node.core.policies import CheckSpec


class Unfit(Exception):
    """What was looked at is not well. Raised inside probes only."""

    def __init__(self, cause: str, remedy: str) -> None:
        """Keep why, and what mends it."""
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Warned:
    """It works, and something about it should be mended."""

    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Look:
    """What was found: it works."""

    detail: str
    warning: Warned | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """One check, and what it may use."""

    spec: CheckSpec
    place: str
    """The settings file."""
    environ: Mapping[str, str]
    _secrets: list[str] = field(default_factory=list[str])

    def hide(self, text: str) -> str:
        """Blot out the password: a hostile server may say it back to us."""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text

    @property
    def entry(self) -> str:
        """Where the operator corrects it: `in [[check]] name = "db" of /…/nexa.toml`."""
        return f'in [[check]] name = "{self.spec.name}" of {self.place}'

    def correct(self, *keys: str) -> str:
        """Say which settings to correct, and where."""
        return f"correct {' and '.join(keys)} {self.entry}"

    async def password(self) -> str | None:
        """Read the password; None if there is no file for one.

        Raises:
            Unfit: The file is missing, or others may read it.
        """
        path = self.spec.password_file
        if not path:
            return None
        try:
            secret = await asyncio.to_thread(read_secret, Path(path))
        except Exposed as error:
            raise Unfit(
                f"the password in {path} may be read by other users",
                f"chmod 600 {path}; and change the password if others had access",
            ) from error
        except (OSError, ValueError, RuntimeError) as error:
            # Not UTF-8 or no path at all; or the home folder of a user there is not.
            why = error.strerror if isinstance(error, OSError) else _plain(error)
            raise Unfit(
                f"the password file {path} can't be read: {why}",
                self.correct("password_file"),
            ) from error
        if secret:
            self._secrets.append(secret)
        return secret


def _plain(error: Exception) -> str:
    """Say why, without quoting what was read: it may be the password."""
    return "it is not UTF-8" if isinstance(error, UnicodeError) else str(error)
