"""Fuzz reading and checking pipelines: ``python tests/fuzz/fuzz_pipeline.py -max_total_time=60``.

Needs atheris. Seeds are in ``corpus/pipeline`` beside this file.
"""

from __future__ import annotations

from fuzzing import run

from oci_push.forms import ValidationForm
from oci_push.language.document import Location
from oci_push.language.integrations import Config, Integration
from oci_push.language.parse import read_pipeline
from oci_push.language.schema_registries import Known
from oci_push.language.steps import flatten, type_of

_PLACE = Location("c.yaml", 1, 1)
_HUB = Integration("hub", "dockerhub", "docker.io", _PLACE, is_default=True)
_KNOWN = Known(
    Config((_HUB, Integration("ecr", "ecr", "", _PLACE))), {"R": "hub", "S": "${{R}}", "H": "localhost:5000"}.get
)


def target(data: bytes) -> None:
    """Read one file with and without knowing the registries; nothing may be raised."""
    for known in (None, _KNOWN):
        reading = read_pipeline(data, "fuzz.yml", known)
        assert (reading.pipeline is None) == bool(reading.errors)
        lines = data.count(b"\n") + data.count(b"\r") + data.count(b"\xc2\x85") + data.count(b"\xe2\x80") + 1
        for problem in (*reading.errors, *reading.warnings, *reading.upstream):
            assert problem.message
            assert 1 <= problem.line <= lines + 1
            assert problem.column >= 1
        ValidationForm.of("fuzz.yml", reading.errors, reading.warnings)
        if reading.pipeline is not None:
            assert all(type_of(step) is not None for step in flatten(reading.pipeline.steps))


if __name__ == "__main__":
    run(target, "pipeline")
