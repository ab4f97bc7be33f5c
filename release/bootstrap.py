"""Start oci-push from its one file: unpack what it holds, once, where this user may keep it, and run that.

`onefile` writes this as the file's ``__main__``. Compiled modules (cryptography, zstandard, …) cannot be imported from
within an archive, so unpacking is needed; later starts find the folder and read nothing of the archive.
"""

from __future__ import annotations

import os
import stat
import sys

BUILD = "@build@"
"""Version, Python, platform and a digest of the content: what another file holds is never taken for ours."""

PYTHON = "@python@"
PLATFORM = "@platform@"
FOLDER = "OCI_PUSH_UNPACK"
"""The variable that names the folder to unpack into; then there is no other choice."""


def main() -> None:
    """Run the program."""
    _check_python()
    problems = []
    for root in _roots():
        try:
            lib = os.path.join(_unpacked(root), "lib")
        except OSError as problem:
            problems.append(f"{root}: {problem.strerror or problem}")
            continue
        sys.path[0] = lib  # was this archive
        from oci_push.cli.app import start

        start()
        return
    _fail("nowhere to unpack to: " + "; ".join(problems), f"name a folder that you can write to: {FOLDER}=DIR")


def _check_python() -> None:
    found = (f"{sys.version_info[0]}.{sys.version_info[1]}", getattr(sys.implementation, "_multiarch", sys.platform))
    if sys.implementation.name != "cpython" or found != (PYTHON, PLATFORM):
        ours = f"CPython {PYTHON} on {PLATFORM}"
        _fail(
            f"this file is for {ours}, and this is {sys.implementation.name} {found[0]} on {found[1]}",
            f"run it with python{PYTHON}, take the file that was made for this Python, or install oci-push with pip",
        )


def _roots() -> list[str]:
    """Return the folders to try: the one that was named, or the user's cache and then one for temporary files."""
    named = os.environ.get(FOLDER)
    if named:
        return [os.path.abspath(named)]
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    temporary = os.environ.get("TMPDIR") or "/tmp"
    found = [os.path.join(cache, "oci-push", "unpacked"), os.path.join(temporary, f"oci-push-{os.geteuid()}")]
    return [folder for folder in found if os.path.isabs(folder)]  # a user whom nobody knows has the home "~"


def _unpacked(root: str) -> str:
    """Return the folder with this file's content, which is made where it is not there; raises `OSError`."""
    os.makedirs(root, mode=0o700, exist_ok=True)
    _check_owner(root)
    folder = os.path.join(root, BUILD)
    if not os.path.lexists(folder):
        _unpack(root, folder)
    _check_owner(folder)
    return folder


def _check_owner(folder: str) -> None:
    """Refuse a folder that another user than root could have filled: what lies in it is going to be executed."""
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
        raise PermissionError("is not a folder that this user alone can write to")


def _unpack(root: str, folder: str) -> None:
    """Unpack beside, then rename: the folder is there whole or not at all, also when several begin at once."""
    import shutil
    import tempfile
    import zipfile

    beside = tempfile.mkdtemp(prefix="unpacking-", dir=root)
    try:
        with zipfile.ZipFile(sys.argv[0]) as outer, outer.open("lib.zip") as file, zipfile.ZipFile(file) as archive:
            archive.extractall(beside)
        os.chmod(beside, 0o755)  # what root has unpacked, others may use, if the folder round it lets them
        os.rename(beside, folder)
    except OSError:
        if not os.path.lexists(folder):
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _fail(message: str, hint: str) -> None:
    sys.stderr.write(f"error: {message}\n  hint: {hint}\n")
    sys.exit(2)


if __name__ == "__main__":
    main()
