"""A generative train job from its input folder to an adapter folder: split, measure, fit, measure again, report."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.adapters.folder import published
from models.generative.fit import Signals, fit
from models.generative.inputs import Documents, read_documents
from models.generative.load import Base, checkpoint_activations, load_base
from models.generative.material import Material, make_material
from models.generative.output import deliver, reading_of, write_adapter
from models.generative.plan import Plan, keep_plan, kept_plan, make_plan
from models.generative.report import build_report
from models.generative.split import Split, split_documents
from models.training.progress import Event, Progress


@dataclass(frozen=True, slots=True)
class _Job:
    """What all stages of one call share."""

    given: Documents
    split: Split
    base: Base
    material: Material
    work: Path
    progress: Progress
    began: float
    earlier: float
    """Seconds that earlier attempts took."""

    def seconds(self) -> float:
        """Seconds so far, earlier attempts included."""
        return self.earlier + time.monotonic() - self.began


def train(
    input_dir: Path | str,
    work_dir: Path | str,
    output_dir: Path | str,
    emit: Callable[[Event], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train a generative adapter: input folder in, adapter folder out. Resumes from `work_dir`.

    Args:
        input_dir: request.json (models/generative/request.py) and texts.arrow: key, content, group, and summary for pairs.
        work_dir: checkpoints; the same folder resumes a killed job.
        output_dir: where the adapter goes, whole or not at all; must be absent or empty.
        emit: called with each event, a JSON-ready dict.
        should_stop: asked between micro-batches; true ends the call after a complete checkpoint.

    Returns:
        The adapter's manifest.

    Raises:
        TrainingRefusedError: the request or the documents cannot be trained on.
        ModelUnavailableError: the base model cannot be had.
        TrainingStoppedError: `should_stop` said so; call again to resume.
    """
    began = time.monotonic()
    work, output = Path(work_dir), Path(output_dir)
    work.mkdir(parents=True, exist_ok=True)
    progress = Progress(emit, should_stop)
    given = read_documents(Path(input_dir))
    made = published(output, given.digest)
    if made is not None:
        progress.event("finished", digest=made["digest"])
        return made
    progress.enter("splitting")
    split = split_documents(given)
    progress.enter("loading")
    base = load_base(given.request)
    if given.request.activation_checkpointing:
        checkpoint_activations(base.model)
    progress.enter("tokens")
    material = make_material(base, given, split)
    job = _Job(given, split, base, material, work, progress, began, _earlier(work, given.digest))
    return _carry_out(job, output)


def _carry_out(job: _Job, output: Path) -> dict[str, Any]:
    try:
        plan = _plan(job)
        before = _measured(job, "before")
        job.progress.enter("fitting")
        history = _fit(job, plan)
        after = _measured(job, "after")
    finally:
        (job.work / "seconds.json").write_text(
            json.dumps({"seconds": job.seconds(), "digest": job.given.digest}), encoding="utf-8"
        )
    report = build_report(
        job.given, job.split, job.material, job.base, plan, history, (before, after), job.seconds()
    )
    job.progress.event("report", **report["result"])
    job.progress.enter("writing")
    draft = job.work / "adapter"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    manifest = write_adapter(
        draft, job.base, job.given, job.split, reading_of(job.given, job.material.block_tokens), report
    )
    job.progress.enter("reload check")
    difference = deliver(draft, output, job.base, job.work)
    job.progress.at(job.progress.total)
    job.progress.tell(force=True)
    job.progress.event(
        "finished", digest=manifest["digest"], reload_difference=difference, seconds=round(job.seconds(), 1)
    )
    return manifest


def _plan(job: _Job) -> Plan:
    """The plan of the checkpoints, or a new one; checkpoints of another input are removed. Announced as `estimate`."""
    path = job.work / "plan.json"
    plan = kept_plan(path, job.given.digest)
    if plan is None:
        for stale in [path, *job.work.glob("measured-*.json"), *job.work.glob("fit.pt")]:
            stale.unlink(missing_ok=True)
        job.progress.enter("measuring")
        plan = make_plan(
            job.given.request, job.material.task, job.base.device, job.material.measured_tokens, job.seconds, job.given.digest,
        )  # fmt: skip
        for value in job.base.trained.values():
            value.grad = None
        keep_plan(path, plan)
    estimate = {name: value for name, value in plan.to_document().items() if name != "input_digest"}
    job.progress.event(
        "estimate", documents=len(job.given.keys), **job.split.to_document(), **estimate,
        block_tokens=job.material.block_tokens, trained_parameters=sum(value.numel() for value in job.base.trained.values()),
    )  # fmt: skip
    share = plan.steps / max(1, plan.steps_per_epoch)
    job.progress.total = int(plan.train_tokens * share + plan.measured_tokens * (share + 2))
    return plan


def _measured(job: _Job, when: str) -> dict[str, Any]:
    """Held-out losses (and summaries' scores) before or after the fit, kept with the checkpoints."""
    path = job.work / f"measured-{when}.json"
    if not path.exists():
        job.progress.enter(f"held-out documents, {when}")
        found = job.material.measure(job.progress.check_stop, job.progress.add)
        temporary = path.with_name(f".{path.name}.partial")
        temporary.write_text(json.dumps(found), encoding="utf-8")
        temporary.replace(path)
    found = json.loads(path.read_text(encoding="utf-8"))
    job.progress.event("measured", when=when, loss=found["loss"])
    return dict(found)


def _fit(job: _Job, plan: Plan) -> list[dict[str, Any]]:
    signals = Signals(
        job.progress.event,
        job.progress.add,
        job.progress.check_stop,
        lambda: checkpoint_activations(job.base.model),
    )
    settings = plan.settings(job.given.request)
    return fit(job.material.task, job.base.trained, settings, plan.micro_batch, job.work / "fit.pt", signals)


def _earlier(work: Path, digest: str) -> float:
    path = work / "seconds.json"
    if not path.exists():
        return 0.0
    noted = json.loads(path.read_text(encoding="utf-8"))
    return float(noted["seconds"]) if noted["digest"] == digest else 0.0
