"""Optuna: studies in a Postgres schema of their own, proposals that can be repeated, and when to prune."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any, TypeVar

import optuna
import psycopg
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import DuplicatedStudyError, StorageInternalError
from optuna.pruners import MedianPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from psycopg import sql
from sqlalchemy.exc import InterfaceError, OperationalError

from app.db.session import sqlalchemy_url
from app.training.search_queries import SCHEMA
from app.training.search_rules import grid, grid_values
from app.training.search_schemas import Choice, Dimension, FloatRange, SearchRequest
from workers.job_context import JobFailed

T = TypeVar("T")
_LOCK = 7_266_266_265
LEAST_FOR_PRUNING = 3
"""Trials that must have been carried to the end before another is ended early."""
PATIENCE_SECONDS = 60.0
_LOST = (StorageInternalError, OperationalError, InterfaceError)


@dataclass(frozen=True, slots=True)
class Told:
    """How a trial ended for one chooser. value: None where it did not come to an end; pruned: because it was ended early."""

    value: float | None
    pruned: bool = False


@cache
def open_storage(url: str) -> RDBStorage:
    """Optuna's storage in the schema `optuna` of our database; schema and tables are made at first use.

    Raises:
        JobFailed: there is no such schema and this database user may not make one.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with psycopg.connect(url, connect_timeout=10, application_name="remand-search") as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))  # two searches may begin at once
        _make_schema(connection)
        return RDBStorage(
            sqlalchemy_url(url),
            engine_kwargs={
                "pool_size": 2,
                "pool_pre_ping": True,
                "hide_parameters": True,
                "connect_args": {
                    "options": f"-c search_path={SCHEMA} -c timezone=UTC",
                    "connect_timeout": 10,
                    "application_name": "remand-search",
                },
            },
        )


def open_study(storage: RDBStorage, name: str) -> optuna.Study:
    """The study of that name, made where there is none; scores are maximised."""

    def opened() -> optuna.Study:
        try:
            return optuna.create_study(
                storage=storage, study_name=name, direction="maximize", load_if_exists=True, pruner=pruner()
            )
        except DuplicatedStudyError:
            return optuna.load_study(study_name=name, storage=storage, pruner=pruner())

    return patiently(opened)


def propose(study: optuna.Study, search: SearchRequest, number: int, seed: int) -> dict[str, Any]:
    """The parameters of trial `number`: those of an earlier call where there was one, new ones else.

    New ones depend on the seed, the number and what the study was told, on nothing else; they are stored in one piece.
    """

    def proposed() -> dict[str, Any]:
        known = study.get_trials(deepcopy=False)
        if len(known) > number:
            return decoded(search.space, known[number].params)
        distributions = {name: distribution(dimension) for name, dimension in search.space.items()}
        if search.strategy == "grid":
            point = grid(search.space)[number]
            params = {name: _encoded(search.space[name], value) for name, value in point.items()}
            distributions = {
                name: CategoricalDistribution(
                    [_encoded(dimension, value) for value in grid_values(dimension)]
                )
                for name, dimension in search.space.items()
            }
        else:
            params = _sampled(known, _sampler(search, number, seed), distributions)
        study.add_trial(create_trial(state=TrialState.RUNNING, params=params, distributions=distributions))
        return decoded(search.space, params)

    return patiently(proposed)


def tell(study: optuna.Study, number: int, told: Told) -> None:
    """Tell a study how its trial ended; a second time does nothing."""
    state = (
        TrialState.COMPLETE
        if told.value is not None
        else TrialState.PRUNED
        if told.pruned
        else TrialState.FAIL
    )
    patiently(lambda: study.tell(number, told.value, state=state, skip_if_finished=True))


def to_be_pruned(study: optuna.Study, number: int, epoch: int, score: float) -> bool:
    """Report a trial's score after an epoch (a second time does nothing) and ask whether it is worth going on."""

    def asked() -> bool:
        storage = study._storage  # noqa: SLF001  # Trial() would draw from the sampler, which belongs to the parent
        trial_id = storage.get_trial_id_from_study_id_trial_number(study._study_id, number)  # noqa: SLF001
        if epoch not in storage.get_trial(trial_id).intermediate_values:
            storage.set_trial_intermediate_value(trial_id, epoch, score)
        return bool(study.pruner.prune(study, storage.get_trial(trial_id)))

    return patiently(asked)


def pruner() -> MedianPruner:
    """Ends what is worse than the median of the others at the same epoch.

    Not Hyperband: its brackets depend on the study's name, so the same seed would not give the same trials.
    """
    return MedianPruner(n_startup_trials=LEAST_FOR_PRUNING, n_warmup_steps=0)


def distribution(dimension: Dimension) -> BaseDistribution:
    """A dimension as Optuna takes it; the values of a choice are JSON, so that they may be objects."""
    if isinstance(dimension, Choice):
        return CategoricalDistribution([_json(value) for value in dimension.values])
    if isinstance(dimension, FloatRange):
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    high = dimension.high - (dimension.high - dimension.low) % dimension.step
    return IntDistribution(dimension.low, high, log=dimension.log, step=dimension.step)


def decoded(space: Mapping[str, Dimension], params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as a train request has them, in the order of the space."""
    return {
        name: json.loads(params[name]) if isinstance(dimension, Choice) else params[name]
        for name, dimension in space.items()
    }


def patiently(body: Callable[[], T]) -> T:
    """`body`, again from its start while the database restarts, for a minute at most."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return body()
        except _LOST:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def _sampler(search: SearchRequest, number: int, seed: int) -> BaseSampler:
    """A sampler of its own for every trial: what it draws does not depend on how often the parent was started anew."""
    own = int.from_bytes(sha256(f"{seed}:{number}".encode()).digest()[:4])
    if search.strategy == "random":
        return RandomSampler(seed=own)
    first = max(3, min(10, (search.trials or 20) // 3))
    return TPESampler(seed=own, n_startup_trials=first)


def _sampled(
    known: Sequence[FrozenTrial], sampler: BaseSampler, distributions: dict[str, BaseDistribution]
) -> dict[str, Any]:
    """A proposal that is not stored yet: asked of a copy of the study in memory."""
    copy = optuna.create_study(direction="maximize", sampler=sampler)
    copy.add_trials(known)
    return copy.ask(distributions).params


def _make_schema(connection: psycopg.Connection[Any]) -> None:
    if connection.execute("SELECT to_regnamespace(%s)", (SCHEMA,)).fetchone() != (None,):
        return
    schema = sql.Identifier(SCHEMA)
    try:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
    except psycopg.errors.InsufficientPrivilege as error:
        raise JobFailed(
            "no-schema-for-optuna",
            f"This database user may not make the schema {SCHEMA!r}, where Optuna keeps its studies. Have the owner of the database run: "
            f"CREATE SCHEMA {SCHEMA} AUTHORIZATION the user of REMAND_DATABASE_URL.",
        ) from error
    connection.execute(sql.SQL("REVOKE ALL ON SCHEMA {} FROM PUBLIC").format(schema))
    connection.commit()
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))


def _encoded(dimension: Dimension, value: Any) -> Any:
    return _json(value) if isinstance(dimension, Choice) else value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def names_of(storage: RDBStorage) -> Iterable[str]:
    """Names of all studies."""
    return patiently(lambda: optuna.get_all_study_names(storage=storage))
