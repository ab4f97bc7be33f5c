"""Reports: what a push or a run did, in its one serial form, JSON."""

from __future__ import annotations

from pathlib import Path

from oci_push.engine.push import PushResult
from oci_push.engine.replicate import ReplicaResult
from oci_push.engine.transfer import BlobOutcome
from oci_push.errors import OciPushError
from oci_push.model.display import clean_json
from oci_push.runner.results import HookResult, Noted, RunReport, StepResult
from oci_push.runtime.files import write_result


def push_to_json(result: PushResult) -> dict[str, object]:
    """Return one repository's result; sizes in bytes, times in seconds."""
    by_outcome = {outcome.value: 0 for outcome in BlobOutcome}
    for blob in result.blobs:
        by_outcome[blob.outcome.value] += 1
    return {
        "repository": str(result.repository),
        "digest": str(result.root),
        "media_type": result.media_type,
        "size": result.root_size,
        "tags": [{"tag": tag.tag, "outcome": tag.outcome, "error": tag.error or None} for tag in result.tags],
        "blobs": [
            {
                "digest": str(blob.digest),
                "size": blob.size,
                "outcome": blob.outcome.value,
                "bytes_sent": blob.bytes_sent,
                "bytes_found": blob.bytes_found,
                "mounted_from": blob.mounted_from or None,
            }
            for blob in result.blobs
        ],
        "counts": by_outcome,
        "bytes_sent": sum(blob.bytes_sent for blob in result.blobs),
        "bytes_resent": sum(blob.bytes_resent for blob in result.blobs),
        "bytes_found": sum(blob.bytes_found for blob in result.blobs),
        "verified": result.verified,
        "repaired": [str(digest) for digest in result.repaired],
        "seconds": round(result.seconds, 3),
        "error": error_to_json(result.error),
    }


def run_to_json(report: RunReport) -> dict[str, object]:
    """Return a pipeline's run."""
    return {
        "build_status": report.status,
        "exit_code": report.exit_code,
        "seconds": round(report.seconds, 3),
        "push_steps": {"total": report.pushes.total, "ran": report.pushes.ran},
        "steps": [step_to_json(step) for step in report.steps],
        "hooks": [_hook_to_json(hook) for hook in report.hooks],
        "notes": [_note_to_json(note) for note in report.notes],
    }


def step_to_json(step: StepResult) -> dict[str, object]:
    """Return one step; `notes` are metadata and annotations, `waits_s` the seconds between attempts."""
    return {
        "name": step.name,
        "type": step.type,
        "title": step.title or step.name,
        "stage": step.stage or "default",
        "group": step.group,
        "status": step.status,
        "attempts": step.attempts,
        "waits_s": list(step.waits_s),
        "reason": step.reason or None,
        "seconds": round(step.seconds, 3),
        "error": error_to_json(step.error),
        "targets": [push_to_json(result) for result in step.pushed],
        "replicas": [replica_to_json(replica) for replica in step.replicas],
        "hooks": [_hook_to_json(hook) for hook in step.hooks],
        "notes": [_note_to_json(note) for note in step.notes],
    }


def _hook_to_json(hook: HookResult) -> dict[str, object]:
    return {"event": hook.event, "status": hook.status, "reason": hook.reason or None}


def _note_to_json(note: Noted) -> dict[str, object]:
    value = note.value
    return {
        "entity_type": note.entity_type,
        "entity_id": note.entity_id,
        "key": note.key,
        "value": int(value) if isinstance(value, float) and value.is_integer() else value,
        "event": note.event,
        "display": note.is_display,
        "removed": note.is_removal,
    }


def replica_to_json(result: ReplicaResult) -> dict[str, object]:
    """Return one place's result; times in seconds."""
    return {
        "repository": str(result.repository),
        "region": result.place.region,
        "account": result.place.account,
        "outcome": result.outcome,
        "seconds": round(result.seconds, 3),
        "error": error_to_json(result.error),
    }


def error_to_json(error: OciPushError | None) -> dict[str, object] | None:
    """Return an error's class, message and hint."""
    if error is None:
        return None
    return {
        "type": type(error).__name__,
        "message": str(error),
        "hint": error.hint,
        "exit_code": error.exit_code,
    }


def write_report(path: Path, value: object) -> None:
    """Write JSON, masked, in one move; raises `ConfigError`."""
    write_result(path, clean_json(value) + "\n", "the report")
