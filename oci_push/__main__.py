"""``python -m oci_push``: the same program, where its script is not on the path."""

from oci_push.cli.app import start

if __name__ == "__main__":
    start()
