"""What surrounds a timed run: a line, registries, homes, and whatever has to be in a registry before.

Every cold push meets a registry that was just started, at a port that it never had, and a home that is empty; every
push again has the home of the push before.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import measuring
from bench.distance import Line
from bench.images import Images
from bench.measuring import Command, Cost
from bench.programs import FromStorage, OciPush, Program, Target
from bench.registry import Registry, Trust
from bench.rows import Kind, Row

# A program that is called once for each of a thousand tags measures the start of processes.
_MOST_COMMANDS = 50


@dataclass(frozen=True)
class Surroundings:
    """What all rows share."""

    ours: OciPush
    images: Images
    trust: Trust
    folder: Path
    """For homes and storages; it goes when the bench ends."""


@dataclass(frozen=True)
class Prepared:
    """A run that can begin now."""

    commands: Sequence[Command]
    env: dict[str, str]
    registries: Sequence[Registry]


class Scene:
    """The surroundings of one row, for as many runs of as many programs as are wanted."""

    def __init__(self, row: Row, around: Surroundings, line: Line) -> None:
        self._row = row
        self._around = around
        self.line = line
        self._trust = around.trust if row.tls else None
        self._kept: list[Registry] = []
        self._has_pushed: set[str] = set()
        self._runs = 0
        self._closing = ExitStack()

    def __enter__(self) -> Scene:
        with ExitStack() as opened:
            opened.enter_context(self.line)
            if self._row.again or self._row.kind in (Kind.COPY, Kind.COPY_OUT):
                self._kept = [opened.enter_context(self._registry()) for _ in range(self._row.registries)]
            if self._row.kind in (Kind.COPY, Kind.COPY_OUT):
                layout = self._around.images.layout(self._row.image)
                home = self._around.folder / "seed"
                commands = self._around.ours.push(layout, self._target(self._kept[0], "source"), home)
                with self.line.beside() as prefix:
                    measuring.run(commands, prefix, self._env(home, self._around.ours, self._kept))
            self._closing = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    @contextmanager
    def ready(self, program: Program) -> Iterator[Prepared | None]:
        """Prepare a run of `program`; `None` where it has no way to do the work. Raises `RunError`."""
        self._runs += 1
        row = self._row
        home = self._around.folder / f"{row.key}-{program.name}-{0 if row.again else self._runs}"
        with ExitStack() as opened:
            registries = self._kept
            if not registries or row.kind is Kind.COPY_OUT:
                registries = [opened.enter_context(self._registry()) for _ in range(row.registries)]
            env = self._env(home, program, [*self._kept, *registries])
            tags = tuple(f"n{self._runs}-{number}" for number in range(row.new_tags)) or ("v1",)
            commands = self._commands(program, registries, home, tags)
            if not 0 < len(commands) <= _MOST_COMMANDS:
                yield None
                return
            if row.again and program.name not in self._has_pushed:
                self._has_pushed.add(program.name)
                first = self._commands(program, registries, home, ("v1",))
                with self.line.beside() as prefix:
                    measuring.run(first, prefix, env)
            yield Prepared(commands, env, registries)

    def _commands(
        self, program: Program, registries: Sequence[Registry], home: Path, tags: tuple[str, ...]
    ) -> list[Command]:
        row, images = self._row, self._around.images
        if isinstance(program, FromStorage) and not row.from_storage:
            return []
        name = program.name.replace(" ", "-")
        match row.kind:
            case Kind.PUSH:
                return program.push(images.layout(row.image), self._target(registries[0], name, tags), home)
            case Kind.SAVED:
                return program.push_saved(images.saved, [self._target(each, name, tags) for each in registries])
            case Kind.COPY | Kind.COPY_OUT:
                target = self._target(registries[0], f"copies/{name}-{self._runs}")
                return program.copy(self._target(self._kept[0], "source"), target)
            case Kind.PIPELINE:
                layouts = images.pipeline()
                targets = [self._target(registries[0], f"app{number}") for number in range(len(layouts))]
                return program.push_all(layouts, targets, home, is_parallel=True)
            case Kind.STEPS:
                layouts = (images.layout(row.image),) * row.units
                targets = [self._target(registries[0], "app", (f"n{number}",)) for number in range(row.units)]
                return program.push_all(layouts, targets, home, is_parallel=False)
            case _:
                raise ValueError(f"{row.kind} has no registry")

    def _registry(self) -> Registry:
        return Registry(self.line, self._trust)

    def _target(self, registry: Registry, name: str, tags: tuple[str, ...] = ("v1",)) -> Target:
        ca_file = str(self._around.trust.authority) if self._row.tls else ""
        return Target(f"{registry.host}/bench/{name}", tags, ca_file)

    def _env(self, home: Path, program: Program, registries: Sequence[Registry]) -> dict[str, str]:
        trusted = {"SSL_CERT_FILE": str(self._around.trust.bundle)} if self._row.tls else {}
        env = measuring.clean_environment(home, trusted)
        program.settle(home, [registry.host for registry in registries], self._row.tls)
        return env


def run_start(row: Row, program: Program, around: Surroundings) -> Cost | None:
    """Run what has no registry: start-up alone. Raises `RunError`."""
    home = around.folder / f"start-{program.name.replace(' ', '-')}"
    env = measuring.clean_environment(home, {})
    match row.kind:
        case Kind.VERSION:
            return measuring.run([program.print_version()], (), env)
        case Kind.HELP:
            return measuring.run([program.print_help()], (), env)
        case Kind.COMPLETE:
            command, additions = program.complete()
            return measuring.run([command], (), {**env, **additions})
        case _:
            return _first_request(row, program, around, home, env)


def _first_request(row: Row, program: Program, around: Surroundings, home: Path, env: dict[str, str]) -> Cost | None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
        program.settle(home, [host], False)
        if isinstance(program, FromStorage):
            return None
        commands = program.push(around.images.layout(row.image), Target(f"{host}/bench/app"), home)
        if commands:
            return measuring.run_to_first_request(commands[0], server, env)
        return measuring.run([program.print_version()], (), env)  # Python alone sends none: its whole run
