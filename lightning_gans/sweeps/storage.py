"""Where a sweep's trials are kept: a journal in its folder, or a database for many machines."""

import logging
import os
import re
import time
import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from lightning_gans.errors import InputError
from lightning_gans.runs.settings import flat

__all__ = ["begin", "begun", "open_storage", "without_password"]

_SECONDS_TO_CONNECT = 10
_SECONDS_TO_WRITE = 10
"""Whoever holds the journal for longer was killed while writing."""
_PASSWORD = re.compile(r"(://[^:@/]*:).*@", re.DOTALL)
_SECRET = re.compile(r"([?&][^=&]*(?:pass|pwd|secret|token|key)[^=&]*=)[^&]*", re.IGNORECASE)
_BEAT, _DEAD_AFTER = 60, 180
_SHOWN = 8


class _MendingLock(JournalFileSymlinkLock):
    """The lock of a journal; who gets it first removes a line that was begun and never ended.

    Such a line, left by a full disk or a kill, would make one with the next, unreadable for ever.
    """

    def acquire(self) -> bool:
        """Wait for the lock."""
        got = super().acquire()
        with open(self._lock_target_file, "r+b") as journal:
            end = whole = journal.seek(0, os.SEEK_END)
            while whole:
                journal.seek(whole - 1)
                if journal.read(1) == b"\n":
                    break
                whole -= 1
            if whole < end:
                journal.truncate(whole)
        return got


def open_storage(url: str | None, folder: Path) -> BaseStorage:
    """The database at ``url``, or without one ``folder``/journal.log, made if there is none.

    PostgreSQL's password need not be in ``url``, where ``ps`` shows it: without one its library
    takes PGPASSWORD or ~/.pgpass.

    Raises:
        InputError: It cannot be opened.
    """
    optuna.logging.set_verbosity(logging.WARNING)
    if url is None:
        try:
            path = str(folder / "journal.log")
            lock = _MendingLock(path, _SECONDS_TO_WRITE)
            return JournalStorage(JournalFileBackend(path, lock))
        except (OSError, ValueError) as error:
            raise InputError(f"{folder}/journal.log cannot be read: {error}") from error
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    shown = without_password(url)
    if not url.startswith("sqlite") and url.partition("?")[0].count("@") > 1:
        raise InputError(f"--storage {shown}: an @ in its user or password must be written %40")
    options: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith(("postgresql://", "postgres://")):
        url = "postgresql+psycopg://" + url.partition("://")[2]
    if url.startswith("postgresql"):
        options["connect_args"] = {"connect_timeout": _SECONDS_TO_CONNECT}
    try:
        return _connect(url, options)
    except (ModuleNotFoundError, ImportError) as error:
        ours = url.startswith("postgresql")
        extra = "; pip install 'lightning-gans[postgres]'" if ours else ""
        raise InputError(f"--storage {shown} needs a driver: {error}{extra}") from error
    except (ArgumentError, ValueError) as error:
        raise InputError(
            f"--storage {shown} is no address of a database, such as "
            "postgresql://user@host/database"
        ) from error
    except SQLAlchemyError as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise InputError(f"--storage {shown} cannot be used: {reason}") from error


def without_password(url: str) -> str:
    """``url`` as it may be shown; of what is no address only what follows the last @."""
    if "://" not in url:
        return url.rpartition("@")[2]
    return _SECRET.sub(r"\1***", _PASSWORD.sub(r"\1***@", url))


def _connect(url: str, options: dict[str, Any]) -> RDBStorage:
    """The database; two workers that make its tables at the same time do so in turn."""
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    for attempt in range(5):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                return RDBStorage(url, options, heartbeat_interval=_BEAT, grace_period=_DEAD_AFTER)
        except (IntegrityError, ProgrammingError):
            if attempt == 4:
                raise
            time.sleep(0.5)
    raise AssertionError


def begun(
    storage: BaseStorage, name: str, definition: dict[str, Any], resume: bool
) -> optuna.Study | None:
    """The sweep ``name`` if it has begun, to be gone on with or joined; None if it has not.

    Args:
        storage: Where it is kept.
        name: Its name.
        definition: All that must not change while it goes on.
        resume: Whether it may have begun.

    Raises:
        InputError: It has and must not, or it was defined otherwise.
    """
    try:
        study = optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        return None
    if not resume:
        raise InputError(
            f"{name} has begun already; --resume goes on with it or joins it, --name starts another"
        )
    for _ in range(50):  # another worker may be about to write it
        if before := study.user_attrs.get("sweep"):
            break
        time.sleep(0.1)
    else:
        study.set_user_attr("sweep", before := definition)
    then, now = flat(before), flat(definition)
    if changed := [key for key in then | now if then.get(key) != now.get(key)]:
        told = "".join(f"\n  {key}: {then.get(key)} -> {now.get(key)}" for key in changed[:_SHOWN])
        told += f"\n  and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        raise InputError(f"{name} was begun otherwise:{told}\n--name starts another one")
    return study


def begin(
    storage: BaseStorage, name: str, goal: str, definition: dict[str, Any], resume: bool
) -> optuna.Study:
    """As `begun`, and begin it if it has not; another worker may do so at the same time.

    Args:
        storage: Where it is kept.
        name: Its name.
        goal: minimize or maximize.
        definition: All that must not change while it goes on.
        resume: Whether it may have begun.
    """
    try:
        study = optuna.create_study(study_name=name, storage=storage, direction=goal)
    except DuplicatedStudyError:
        return begun(storage, name, definition, resume)
    study.set_user_attr("sweep", definition)
    return study
