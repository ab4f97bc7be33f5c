"""Install oci-push and what it needs into one folder, without what a push never uses: the image and the one file.

`python3 release/tree.py SOURCE FOLDER` makes ``FOLDER/lib`` (packages, compiled) and ``FOLDER/bin/oci-push`` with the
Python that runs it and with its pip. SOURCE is what pip installs: a checkout or a wheel. Nothing but the standard
library is imported here, since the image is made with this file too.
"""

from __future__ import annotations

import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

AWS_SERVICES = {"ecr", "ecr-public", "sts", "sso", "sso-oidc", "signin"}
"""Of botocore's descriptions of some 440 services: those that are called, and those that its search for keys calls."""

LEXERS = {"__init__.py", "_mapping.py", "python.py", "special.py"}
"""Of Pygments' languages: what rich needs to be imported."""

UNUSED = (
    "*.dist-info/direct_url.json",  # where it was installed from: a folder of the machine that did it
    "*.dist-info/INSTALLER",
    "*.dist-info/RECORD",  # lists files that are no longer there
    "*.dist-info/REQUESTED",
    "**/tests",
    "**/*.[ch]",
    "**/*.pxd",
    "**/*.pyi",
    "**/*.pyx",
    "bin",
    "boto3/data",
    "boto3/examples",
    "botocore/data/*/*/examples-1.json",
    # Its second implementation, for PyPy; 12 MB.
    "zstandard/_cffi*",
    "zstandard/backend_cffi.py",
    # What compiles C from within Python; cryptography needs `_cffi_backend` alone.
    "cffi",
    "pycparser*",
)
"""What is left out, as patterns below the folder of packages. Licences and metadata stay."""

NOT_COMPILED = re.compile(r"/(ensurepip|idlelib|lib2to3|pydoc_data|(site|dist)-packages|tests?|tkinter|turtledemo)/")
"""What is not compiled of the standard library."""

LAUNCHER = """\
#!{python} -IS
import sys

# Without `site` there is only the standard library on the path: nothing else is searched, or can be slipped in.
sys.path.append({lib!r})
sys.pycache_prefix = {bytecode!r}
from oci_push.cli.app import start

start()
"""


def make(source: str, folder: Path, *, standard_library: bool = False) -> None:
    """Make the tree, replacing what is there; raises `subprocess.CalledProcessError` where pip fails.

    With `standard_library`, all bytecode is in ``FOLDER/bytecode``, also that of Python's own modules.
    """
    shutil.rmtree(folder, ignore_errors=True)
    lib = folder.absolute() / "lib"
    bytecode = str(lib.with_name("bytecode")) if standard_library else None
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input"]
    quiet = ["--no-warn-script-location", "--root-user-action=ignore"]
    subprocess.run([*pip, "install", "--no-compile", *quiet, "--target", lib, source], check=True)
    prune(lib)
    strip(lib)
    sys.pycache_prefix = bytecode
    compile_packages(lib)
    if standard_library:
        compile_standard_library()
    launcher = folder / "bin" / "oci-push"
    launcher.parent.mkdir()
    launcher.write_text(LAUNCHER.format(python=sys.executable, lib=str(lib), bytecode=bytecode), encoding="ascii")
    launcher.chmod(0o755)


def prune(lib: Path) -> None:
    """Remove what a push never uses."""
    for path in [*_unused(lib)]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _unused(lib: Path) -> Iterator[Path]:
    for pattern in UNUSED:
        yield from lib.glob(pattern)
    yield from (path for path in (lib / "botocore/data").glob("*/") if path.name not in AWS_SERVICES)
    yield from (path for path in (lib / "pygments/lexers").glob("*.py") if path.name not in LEXERS)


def strip(lib: Path) -> None:
    """Take out of compiled modules what only a debugger reads (18 MB), where this machine has the program for that."""
    program = shutil.which("strip")
    modules = sorted(lib.rglob("*.so"))
    if program and modules and sys.platform == "linux":
        subprocess.run([program, "--strip-unneeded", *modules], check=True)


def compile_packages(lib: Path) -> None:
    """Compile what was installed; what was compiled is taken as it is, whatever the time of its source says.

    A layer or an archive gives files other times than they had, and a read-only folder cannot be compiled into. Traces
    name the modules as if `lib` were the root, so that the same sources give the same bytes anywhere.
    """
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(lib, quiet=2, stripdir=str(lib), invalidation_mode=mode):
        raise SystemExit(f"{lib}: a module could not be compiled")


def compile_standard_library() -> None:
    """Compile Python's own modules, each for the source that it has now: an update of Python does not go unseen."""
    mode = py_compile.PycInvalidationMode.TIMESTAMP
    compileall.compile_dir(sysconfig.get_path("stdlib"), quiet=2, rx=NOT_COMPILED, invalidation_mode=mode)


def size_bytes(folder: Path) -> int:
    """Return what the files below a folder hold."""
    return sum(os.lstat(path).st_size for path in folder.rglob("*") if not path.is_dir())


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]), standard_library="--with-bytecode-of-standard-library" in sys.argv[3:])
    print(f"{sys.argv[2]}: {size_bytes(Path(sys.argv[2])) / 1e6:.1f} MB")
