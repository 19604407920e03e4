"""Optuna in a schema of its own on a real Postgres: what it proposes can be repeated, what it is told counts once."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from optuna.storages import RDBStorage

from app.db.session import writing
from app.training.search_queries import remove_orphaned_studies, study_name
from app.training.search_schemas import SearchRequest
from workers.search import studies
from workers.search.studies import Told

SPACE = {
    "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-2, "log": True},
    "lora_rank": {"type": "int", "low": 2, "high": 17, "step": 4},
    "loss": {"type": "choice", "values": [{"kind": "bce"}, {"kind": "focal", "gamma": 1.5}]},
}


@pytest.fixture
def storage(database: str) -> Iterator[RDBStorage]:
    """Optuna's storage in the test's database."""
    storage = studies.open_storage(database)
    yield storage
    storage.engine.dispose()
    studies.open_storage.cache_clear()


def search(strategy: str, **fields: object) -> SearchRequest:
    """A request of that strategy over SPACE."""
    return SearchRequest.model_validate({"strategy": strategy, "space": SPACE, "trials": 9} | fields)


def goodness(parameters: dict[str, float]) -> float:
    """A made-up score: a high rate and a high rank are good."""
    return parameters["learning_rate"] * 10 + parameters["lora_rank"] / 100


def test_tables_stand_in_a_schema_that_others_cannot_enter(storage: RDBStorage, database: str) -> None:
    studies.open_study(storage, "job_a/all")
    with psycopg.connect(database) as connection:
        tables = connection.execute(
            "SELECT table_schema FROM information_schema.tables WHERE table_name = 'studies'"
        )
        assert tables.fetchall() == [("optuna",)]
        versions = connection.execute(
            "SELECT table_schema FROM information_schema.tables WHERE table_name = 'alembic_version' ORDER BY 1"
        )
        assert versions.fetchall() == [("optuna",), ("public",)]
        connection.execute("CREATE ROLE stranger_to_optuna")
        entered = connection.execute(
            "SELECT has_schema_privilege('stranger_to_optuna', 'optuna', 'usage')"
        ).fetchone()
        assert entered == (False,)
        connection.rollback()


@pytest.mark.parametrize("strategy", ["random", "bayesian"])
def test_the_same_seed_proposes_the_same_trials(storage: RDBStorage, strategy: str) -> None:
    made = []
    for name, seed in (("job_a/all", 1), ("job_b/all", 1), ("job_c/all", 2)):
        study = studies.open_study(storage, name)
        rows = []
        for number in range(9):
            parameters = studies.propose(study, search(strategy), number, seed)
            assert (
                studies.propose(study, search(strategy), number, seed) == parameters
            )  # asked again after a crash
            rows.append(parameters)
            told = Told(goodness(parameters)) if number % 4 else Told(None)
            studies.tell(study, number, told)
            studies.tell(study, number, Told(99.0))  # a second time does nothing
        made.append(rows)
        assert [trial.value for trial in study.trials if trial.value == 99.0] == []
    assert made[0] == made[1] != made[2]
    for parameters in made[0]:
        assert 1e-5 <= parameters["learning_rate"] <= 1e-2
        assert parameters["lora_rank"] in {2, 6, 10, 14}
        assert parameters["loss"] in [{"kind": "bce"}, {"kind": "focal", "gamma": 1.5}]
    assert len({parameters["learning_rate"] for parameters in made[0]}) == 9


def test_a_grid_is_walked_in_its_order(storage: RDBStorage) -> None:
    grid = search(
        "grid", space={"wide": {"type": "choice", "values": [True, False]}, "lora_rank": SPACE["lora_rank"]}
    )
    study = studies.open_study(storage, "job_a/all")
    points = [studies.propose(study, grid, number, 0) for number in range(8)]
    assert points == [{"wide": wide, "lora_rank": rank} for wide in (True, False) for rank in (2, 6, 10, 14)]


def test_a_fit_below_the_median_is_pruned(storage: RDBStorage) -> None:
    study = studies.open_study(storage, "job_a/fold0")
    verdicts = []
    for number, scores in enumerate(([0.5, 0.6], [0.6, 0.7], [0.7, 0.8], [0.4, 0.9], [0.65, 0.5])):
        studies.propose(study, search("random"), number, 0)
        ended = [studies.to_be_pruned(study, number, epoch, score) for epoch, score in enumerate(scores, 1)]
        verdicts.append(ended)
        studies.to_be_pruned(study, number, 1, 0.0)  # reported before: its first score stays
        assert study.trials[number].intermediate_values == dict(enumerate(scores, 1))
        studies.tell(study, number, Told(None, pruned=True) if any(ended) else Told(max(scores)))
    assert verdicts[:3] == [[False, False]] * 3  # too few to compare with
    assert verdicts[3] == [True, False]
    assert verdicts[4] == [False, True]


def test_studies_of_searches_that_are_gone_are_removed(storage: RDBStorage, environment: object) -> None:
    study = studies.open_study(storage, study_name("job_gone", "fold0"))
    studies.propose(study, search("random"), 0, 0)
    studies.to_be_pruned(study, 0, 1, 0.5)
    studies.tell(study, 0, Told(0.5))
    with writing() as session:
        assert remove_orphaned_studies(session) == 1
        assert remove_orphaned_studies(session) == 0
    assert list(studies.names_of(storage)) == []
