"""A sandbox and a client for each test; a defect inside the sandbox fails the test that met it."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from sandboxclient import Client


@pytest.fixture
def serve():
    """Start sandboxes; each call gives the sandbox and a client connected to it."""
    with ExitStack() as stack:
        started = []

        def start(*, root=None, clock=None, faults=None, **options):
            sandbox = stack.enter_context(Sandbox(root, options=SandboxOptions(**options), clock=clock, faults=faults))
            started.append(sandbox)
            return sandbox, stack.enter_context(Client(sandbox))

        yield start
        assert [problem for sandbox in started for problem in sandbox.problems] == []
