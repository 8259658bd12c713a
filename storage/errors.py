"""The one error type for a user's mistake, shared by every room."""

from __future__ import annotations


class UserError(ValueError):
    """Something the caller can put right: it names the value, what is allowed and the remedy.

    The command line prints it as one line and exits with 2. From Python it is a `ValueError`.
    """


class StoreError(UserError):
    """A store, or a file beside it, that cannot be used as it is."""


class DamageError(StoreError):
    """A checksum or a page of a store says that it is damaged. Nothing else is called so."""


class WorkFailed(Exception):
    """The work ran to its end and part of it failed. The command line exits with 1."""
