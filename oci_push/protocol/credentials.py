"""Credentials as they are read: whatever will be in a header is checked here, where it is known who wrote it.

A token that ends in a newline (``echo``, a mounted secret) is good once it is stripped. One that no header can carry is
the fault of the file, program or server that gave it: it is said so at once, never as a fault of the network, and never
with the value. Rules: RFC 9110 §11.2 (token68) and §5.5 (field values), RFC 6750 §2.1, RFC 6749 A.17, RFC 7617 §2.
"""

from __future__ import annotations

import re

from oci_push.errors import CredentialsError
from oci_push.secret import Secret

# More than token68: "=" anywhere, as some servers keep the padding of each part of a JWT.
_BEARER = r"[A-Za-z0-9._~+/=-]+"
_REFRESH = r"[\x21-\x7e]+"
_HEADER_NAME = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_HEADER_VALUE = r"[\x20-\x7e\t]*"
_IN_NO_LOGIN = ("\0", "\r", "\n")
_BOM = "\ufeff"


def bearer_token(text: str, where: str) -> Secret:
    """Read a token that travels in a header; `where` says who gave it, for the `CredentialsError`."""
    return _token(_BEARER, text, where)


def refresh_token(text: str, where: str) -> Secret:
    """Read an identity or refresh token, which travels in a form, and may hold any visible sign; else as above."""
    return _token(_REFRESH, text, where)


def basic_password(text: str, where: str) -> Secret:
    """Read a password less the line end of the file or command that it is from; raises `CredentialsError`.

    A key of Google's (user ``_json_key``) is a JSON object of many lines. Any other text of many lines is a mistake.
    """
    text = text.removeprefix(_BOM).rstrip("\r\n")
    password = Secret(text)  # known also where it is no good
    is_key = text.lstrip().startswith("{") and text.endswith("}")
    bad = next((char for char in _IN_NO_LOGIN[: 1 if is_key else None] if char in text), "")
    if bad:
        reason = "holds a NUL character" if bad == "\0" else "has more than one line"
        raise CredentialsError(f"{where}: the password {reason}", hint="is it the right one, whole and alone?")
    _check_text(text, f"{where}: the password")
    return password


def basic_user(text: str, where: str) -> str:
    """Read a user name; raises `CredentialsError`."""
    text = text.removeprefix(_BOM).rstrip("\r\n")
    if any(char in text for char in _IN_NO_LOGIN):
        raise CredentialsError(f"{where}: the user name has more than one line", hint="is it the right one, alone?")
    _check_text(text, f"{where}: the user name")
    Secret(text.partition(":")[2])  # no name has a colon (RFC 7617 2): what follows is a password that was put there
    return text


def header(name: str, value: str, where: str) -> tuple[str, str]:
    """Read a header that somebody else named and filled; raises `CredentialsError`. It may be secret."""
    value = value.strip()
    if not re.fullmatch(_HEADER_NAME, name) or not re.fullmatch(_HEADER_VALUE, value):
        raise CredentialsError(f"{where}: this is no header that can be sent", hint="is it whole, and on one line?")
    return name, value


def _check_text(text: str, what: str) -> None:
    """Refuse half of a character: JSON can hold one, and so do arguments and variables that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:  # not chained: it carries the text
        raise CredentialsError(f"{what} is not text that can be sent", hint="write it as UTF-8") from None


def _token(form: str, text: str, where: str) -> Secret:
    text = text.strip().strip(_BOM).strip()
    found = Secret(text)  # known also where it is no good
    if not found:
        raise CredentialsError(f"{where}: the token is empty", hint="log in again")
    if not re.fullmatch(form, text):
        raise CredentialsError(
            f"{where}: the token holds characters that no token has (it is not shown)",
            hint="is it the right one, whole, alone and on one line? a blank, quote or line end inside does this",
        )
    return found
