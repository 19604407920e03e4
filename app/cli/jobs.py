"""`remand jobs`: list, show, follow, cancel, pause, resume."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

JobId = Annotated[str, typer.Argument(help="job_…")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    jobs = typer.Typer(help="Jobs: imports, training, relabelling.", no_args_is_help=True)
    jobs.command("list")(list_)
    jobs.command("show")(show)
    jobs.command("follow")(follow)
    jobs.command("cancel")(cancel)
    jobs.command("pause")(pause)
    jobs.command("resume")(resume)
    app.add_typer(jobs, name="jobs")


def list_(
    corpus: Annotated[str | None, typer.Option(help="Only jobs of this corpus.")] = None,
    state: Annotated[
        str | None, typer.Option(help="queued, running, paused, succeeded, failed or cancelled.")
    ] = None,
    limit: Annotated[int, typer.Option(help="How many.")] = 20,
) -> None:
    """The newest jobs."""
    from rich.console import Console
    from rich.table import Table

    from app.cli.client import call, connect

    asked = {"corpus": corpus, "state": state, "limit": limit}
    with connect() as client:
        page = call(
            client, "GET", "/jobs", params={key: value for key, value in asked.items() if value}
        ).json()
    table = Table(box=None)
    table.add_column("job", no_wrap=True, min_width=28)  # an id is there to be copied
    for heading in ("kind", "state", "how far", "made (UTC)"):
        table.add_column(heading)
    for job in page["items"]:
        table.add_row(
            job["id"], job["kind"], job["state"], _how_far(job), job["created_at"][:19].replace("T", " ")
        )
    Console().print(table)


def show(job_id: JobId) -> None:
    """Everything about a job, as JSON."""
    from app.cli.client import call, connect

    with connect() as client:
        typer.echo(json.dumps(call(client, "GET", f"/jobs/{job_id}").json(), indent=2, ensure_ascii=False))


def follow(job_id: JobId) -> None:
    """Show a job until it ends; exit status 1 when it did not succeed."""
    from app.cli.client import call, connect
    from app.cli.train import follow_to_the_end

    with connect() as client:
        follow_to_the_end(client, call(client, "GET", f"/jobs/{job_id}").json()["links"]["events"])


def cancel(job_id: JobId) -> None:
    """Ask for the end of a job."""
    from app.cli.client import call, connect

    with connect() as client:
        job = call(client, "POST", f"/jobs/{job_id}/cancel").json()
    typer.echo(f"{job_id} is {job['state']}{', and will end soon' if job['state'] == 'running' else ''}.")


def pause(job_id: JobId) -> None:
    """Have a job wait: it makes a checkpoint and frees its device."""
    from app.cli.client import call, connect

    with connect() as client:
        job = call(client, "POST", f"/jobs/{job_id}/pause").json()
    soon = ", and will pause after its next checkpoint" if job["pause_requested"] else ""
    typer.echo(f"{job_id} is {job['state']}{soon}.")
    if job["state"] == "paused" or soon:
        typer.echo(f"Let it go on with: remand jobs resume {job_id}")


def resume(job_id: JobId) -> None:
    """Let a paused job go on from its checkpoint."""
    from app.cli.client import call, connect

    with connect() as client:
        job = call(client, "POST", f"/jobs/{job_id}/resume").json()
    typer.echo(f"{job_id} is {job['state']}.")


def _how_far(job: dict[str, Any]) -> str:
    if job["error"]:
        return str(job["error"]["detail"])[:60]
    progress = job["progress"]
    if job["state"] in {"running", "paused"} and progress.get("total"):
        return f"{progress.get('stage', '')} {100 * (progress.get('done') or 0) / progress['total']:.0f} %"
    return ""
