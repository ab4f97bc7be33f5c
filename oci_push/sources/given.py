"""Bytes that are given by a file or by stdin, to be read more than once: a pipe is kept in a temporary file."""

from __future__ import annotations

import os
import stat
from typing import IO, BinaryIO

from oci_push.errors import SourceError
from oci_push.runtime.context import Context
from oci_push.sources.files import FileBody, SpooledBody, SpoolSpace, unreadable

_BLOCK_BYTES = 1024 * 1024


def open_given(context: Context, name: str, stdin: BinaryIO | None, spool: SpoolSpace) -> FileBody | SpooledBody:
    """Return a file's bytes, or for ``-`` those of `stdin`; what is no plain file is kept in `spool`.

    Raises `SourceError`.
    """
    if name == "-":
        if stdin is None:
            raise SourceError("-: stdin is closed", hint="pipe the bytes in, or name a file")
        return _kept(context, stdin, "stdin", spool)
    try:
        with open(name, "rb") as file:
            there = os.fstat(file.fileno())
            # Files that the system makes up when they are read, as below /proc, are said to be empty.
            if stat.S_ISREG(there.st_mode) and there.st_size:
                return FileBody(name, 0, there.st_size, name)
            return _kept(context, file, name, spool)
    except OSError as problem:
        raise unreadable(name, problem) from problem


def _kept(context: Context, stream: IO[bytes], what: str, spool: SpoolSpace) -> SpooledBody:
    writer = spool.writer(what)
    while block := stream.read(_BLOCK_BYTES):
        context.check()
        writer.write(block)
    return writer.body()
