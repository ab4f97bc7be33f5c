"""Push container images to registries over HTTP, without a daemon and without root."""

__version__ = "0.1.0"
