"""Run a fuzz target under atheris: ``python tests/fuzz/fuzz_NAME.py -max_total_time=60`` (libFuzzer's options).

atheris is no dependency of the project: ``pip install atheris``. What a run finds of new paths goes to a temporary
folder; an input that breaks the target is written to the working folder, and belongs into ``corpus/NAME`` once the
defect is mended: `test_fuzz_corpora` replays what is there in every test run.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

CORPORA = Path(__file__).with_name("corpus")


def run(target: Callable[[bytes], None], name: str) -> None:
    """Feed the target until an option says stop, or it breaks."""
    import atheris

    atheris.instrument_all()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as found:
        atheris.Setup([*sys.argv, found, str(CORPORA / name)], target)
        atheris.Fuzz()
