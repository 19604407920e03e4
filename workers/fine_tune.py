"""`remand fine-tune` without any server: a file of labelled texts, or documents, in, an adapter folder out. `python -m workers.fine_tune GIVEN.json`.

The file is read, its columns guessed and its values checked as by an import; events go to stdout, one JSON object a line.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.corpora.mapping import Mapping, check_mapping
from app.corpora.rules import consensus
from app.corpora.scheme_rules import EMPTY
from app.http.problems import Problem
from app.settings import get_settings
from app.training.base_models import catalog_document
from app.training.folder import TrainingInput, write_training_folder
from app.training.rules import check, human_pair, select
from app.training.schemas import TrainJobRequest
from models.data.context import contexts
from workers.fine_tune_documents import train_documents
from workers.gathering import Gathered, gather
from workers.importing.guess import guess
from workers.importing.opening import open_source
from workers.importing.plan import make_plan
from workers.importing.profile import profile, repeats
from workers.job_context import JobFailed

REFUSED, STOPPED = 2, 3
"""Exit statuses, as of `python -m models.training`."""
Emit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Given:
    """What was asked for on the command line."""

    data_path: Path
    output_dir: Path
    mapping: dict[str, Any]
    training: dict[str, Any]
    """Fields of TrainJobRequest."""

    @property
    def work_dir(self) -> Path:
        """Checkpoints: beside the output, removed once it is complete."""
        return self.output_dir.with_name(f".{self.output_dir.name}.work")


def fine_tune(given: Given, emit: Emit, should_stop: Callable[[], bool]) -> None:
    """Train on a file; the same call goes on where an earlier one was stopped.

    Raises JobFailed or Problem for a file that cannot be trained on, and what `models.training.run.train` raises.
    """
    if given.output_dir.exists() and any(given.output_dir.iterdir()):
        raise JobFailed(
            "output-not-empty", f"{given.output_dir} is not empty: name another output folder or empty it."
        )
    request = TrainJobRequest.model_validate({"corpus": "file"} | given.training)
    inputs = given.work_dir / "input"
    inputs.parent.mkdir(parents=True, exist_ok=True)
    _use_threads()
    if request.task != "classify":
        train_documents(
            given.data_path, given.work_dir, given.output_dir, request, local_catalog(request.base_model), emit, should_stop
        )  # fmt: skip
        shutil.rmtree(given.work_dir)
        return
    gathered = read_file(given.data_path, Mapping.model_validate(given.mapping), emit)
    shutil.rmtree(inputs, ignore_errors=True)
    write_training_folder(inputs, training_input(gathered, request, emit))
    from models.training.run import train

    train(inputs, given.work_dir / "checkpoints", given.output_dir, emit, should_stop)
    shutil.rmtree(given.work_dir)


def _use_threads() -> None:
    threads = get_settings().threads
    if threads:
        import torch

        torch.set_num_threads(threads)


def local_catalog(base_model: str) -> dict[str, Any]:
    """What the operator allows, and a folder named: whoever runs this may use any of theirs."""
    catalog = catalog_document(get_settings())
    local = Path(base_model).expanduser()
    if local.is_dir():
        catalog["allowed_dirs"].append(str(local.resolve().parent))
    return catalog


def read_file(path: Path, mapping: Mapping, emit: Emit) -> Gathered:
    """Texts and answers of a file; what was guessed about its columns is told as an event."""
    check_mapping(mapping)
    source = open_source(path, path.name, mapping)
    found = profile(source, lambda _rows: None)
    if not found.rows:
        raise JobFailed("no-rows", f"{path.name} has no readable row.")
    whole, guessed = guess(mapping, found, EMPTY, lambda names: repeats(source, names))
    settings = get_settings()
    plan = make_plan(whole, found, EMPTY, settings.max_options)
    gathered = gather(source.rows(), plan, whole.fold_group, settings.max_text_characters)
    emit(
        {
            "event": "read",
            "rows": found.rows + found.unreadable,
            "texts": len(gathered.keys),
            "rejected": gathered.rejected,
            "guessed": {name: value for name, value in whole.document().items() if name in guessed},
        }
    )
    return gathered


def training_input(gathered: Gathered, request: TrainJobRequest, emit: Emit) -> TrainingInput:
    """What the trainer reads; Problem for labels that cannot be trained on, an event for each warning."""
    agreed = consensus(gathered.scheme, gathered.annotations, len(gathered.keys))
    selection = select(
        gathered.scheme,
        agreed.values,
        gathered.keys,
        options=request.options,
        limit=request.limit,
        seed=request.seed,
    )
    folds = None if request.folds == "auto" else request.folds
    for warning in check(selection, len(set(gathered.groups)), folds, request.options):
        emit({"event": "warning", "detail": warning})
    rows = selection.rows.tolist()
    columns = [gathered.scheme.option_keys.index(key) for key in selection.scheme.option_keys]
    pair = human_pair(gathered.scheme, gathered.annotations, len(gathered.keys))
    around = contexts(gathered.contents, gathered.groups)
    device, catalog = get_settings().device, local_catalog(request.base_model)
    return TrainingInput(
        request=request.trainer_request()
        | {"scheme": selection.scheme.to_document(), "device": device, "catalog": catalog},
        keys=[gathered.keys[row] for row in rows],
        contents=[gathered.contents[row] for row in rows],
        groups=[gathered.groups[row] for row in rows],
        splits=[gathered.splits[row] for row in rows],
        labels=selection.labels,
        corpus_groups=gathered.groups,
        human_pair=None if pair is None else (pair[0][rows][:, columns], pair[1][rows][:, columns]),
        contexts=[around[row] for row in rows] if request.context else None,
    )


def attempt(given: Given, emit: Emit, should_stop: Callable[[], bool]) -> int:
    """Train and tell how it ended; gives the exit status.

    What is refused leaves nothing behind but the checkpoints of an earlier call, which a corrected one goes on from; what is
    stopped leaves its checkpoints.
    """
    from models.catalog import ModelUnavailableError
    from models.data.folds import TooFewGroupsError
    from models.training.errors import TrainingRefusedError, TrainingStoppedError

    begun = given.work_dir.exists()
    try:
        fine_tune(given, emit, should_stop)
    except TrainingStoppedError as error:
        emit({"event": "stopped", "detail": str(error)})
        return STOPPED
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        refusal = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (JobFailed, Problem) as error:
        refusal = error.detail
    except (TrainingRefusedError, ModelUnavailableError, TooFewGroupsError, FileExistsError) as error:
        refusal = str(error)
    else:
        return 0
    if not begun:
        shutil.rmtree(given.work_dir, ignore_errors=True)
    emit({"event": "refused", "detail": refusal})
    return REFUSED


def main() -> int:
    """Read what was asked for and train; SIGTERM and SIGINT stop it, leaving its checkpoints."""
    document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    given = Given(
        Path(document["data_path"]), Path(document["output_dir"]), document["mapping"], document["training"]
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    return attempt(given, _print, stop.is_set)


def _print(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event, default=str) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
