"""The examples at the end of each command's help. A test runs them, with other registries in their places."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct


class Example(Struct, frozen=True):
    """A line to be copied, and what it does."""

    text: str
    line: str


_EMPTY = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

EXAMPLES: Mapping[str, tuple[Example, ...]] = MappingProxyType(
    {
        "push": (
            Example(
                "An OCI layout, under two tags", "oci-push push oci:image registry.example.com/team/app:1.4,latest"
            ),
            Example(
                "What podman or buildah built, from where they keep it",
                "oci-push push containers-storage:app registry.example.com/team/app:1.4",
            ),
            Example(
                "What docker save or podman save wrote, to two registries at once",
                "oci-push push image.tar registry.example.com/team/app:1.4 mirror.example.com/team/app:1.4",
            ),
            Example(
                "From one registry to another",
                "oci-push push docker://registry.example.com/team/app:1.4 mirror.example.com/team/app:1.4",
            ),
            Example(
                "Its layers in zstd on the way",
                "oci-push push docker://registry.example.com/team/app:1.4 mirror.example.com/team/app:1.4-zstd"
                " --recompress zstd",
            ),
            Example(
                "See what is there and what would be sent, and write nothing",
                "oci-push push oci:image registry.example.com/team/app:1.4 --plan",
            ),
            Example(
                "With its SBOM",
                "oci-push push oci:image registry.example.com/team/app:1.4 --attach sbom.spdx.json",
            ),
            Example(
                "Signed, before any tag names it",
                "oci-push push oci:image registry.example.com/team/app:1.4 --sign signing.key",
            ),
            Example(
                "An index signed with each image that it lists, which is what podman asks for",
                "oci-push push oci:image registry.example.com/team/app:1.4 --sign signing.key --sign-recursive",
            ),
            Example(
                "Through a front end that takes no large bodies, and few requests",
                "oci-push push oci:image registry.example.com/team/app:1.4 --chunk-size 50m --requests-per-second 20",
            ),
        ),
        "work": (
            Example("See which registries this worker can log in to", "oci-push work units.jsonl --check"),
            Example(
                "The second of two parts; again after a failure, only what is left",
                "oci-push work units.jsonl --shard 2/2 --results results-2.jsonl",
            ),
            Example("All of it, by two processes", "oci-push work units.jsonl --results results.jsonl --on local:2"),
        ),
        "export": (
            Example(
                "An Indexed Job of two pods, with the login of a Secret",
                "oci-push export units.jsonl --kubernetes-job --image registry.example.com/ci/oci-push:0.2 --shards 2"
                " --secret registry-login --config-secret registries --volume images -o job.yaml",
            ),
            Example(
                "A matrix of GitHub Actions",
                "oci-push export units.jsonl --github-matrix --image registry.example.com/ci/oci-push:0.2"
                " --secret REGISTRY_LOGIN",
            ),
        ),
        "report merge": (
            Example(
                "What two workers did, and what nobody did",
                "oci-push report merge results-1.jsonl results-2.jsonl --units units.jsonl",
            ),
        ),
        "mirror": (
            Example("See what would be copied", "oci-push mirror mirror.yml --plan"),
            Example("A file that was made for skopeo sync", "oci-push mirror sync.yml mirror.example.com/hub"),
            Example("Only what is new, from cron", "oci-push mirror mirror.yml --only-missing --quiet"),
        ),
        "copy": (
            Example(
                "From one registry to another, with signatures and SBOMs",
                "oci-push copy registry.example.com/team/app:1.4 mirror.example.com/team/app",
            ),
            Example(
                "All tags of a repository that match, and of those what is not there yet",
                "oci-push copy 'registry.example.com/team/app:1.*' mirror.example.com/team/app --only-missing",
            ),
            Example(
                "All that was made in the last month, and no signatures",
                "oci-push copy registry.example.com/team/app mirror.example.com/team/app"
                " --all-tags --newer-than 30d --no-referrers",
            ),
        ),
        "pull": (
            Example(
                "An image with all its platforms, as an OCI layout",
                "oci-push pull registry.example.com/team/app:1.4 oci:images",
            ),
            Example(
                "A file that docker load and podman load take",
                "oci-push pull registry.example.com/team/app:1.4 docker-archive:app.tar",
            ),
            Example(
                "With its signatures and SBOMs, for a machine without a network",
                "oci-push pull registry.example.com/team/app:1.4 oci-archive:app.oci.tar --referrers",
            ),
        ),
        "inspect": (
            Example(
                "Platforms, layers, config and what refers to it", "oci-push inspect registry.example.com/team/app:1.4"
            ),
            Example("Of a layout in this folder, as JSON", "oci-push inspect oci:image --json"),
        ),
        "digest": (Example("What a tag names now", "oci-push digest registry.example.com/team/app:1.4"),),
        "exists": (Example("Is it there already?", "oci-push exists registry.example.com/team/app:1.4"),),
        "diff": (
            Example(
                "What a registry has, beside what lies here",
                "oci-push diff registry.example.com/team/app:1.4 oci:image",
            ),
        ),
        "check": (Example("Every byte of an image", "oci-push check registry.example.com/team/app:1.4"),),
        "tag": (
            Example(
                "Move tags to a release, without its bytes", "oci-push tag registry.example.com/team/app:1.4 stable"
            ),
        ),
        "delete": (
            Example(
                "See what would go, and delete nothing", "oci-push delete registry.example.com/team/app:1.4 --dry-run"
            ),
        ),
        "annotate": (
            Example(
                "Say where an image is from",
                "oci-push annotate registry.example.com/team/app:1.4"
                " org.opencontainers.image.source=https://example.com/app",
            ),
            Example(
                "An index and each of its images, under another tag",
                "oci-push annotate registry.example.com/team/app:all com.example.stage=tested --images --tag tested",
            ),
        ),
        "mutate": (
            Example(
                "Labels and variables, under another tag",
                "oci-push mutate registry.example.com/team/app:1.4 --label stage=tested --env LOG=info --tag tested",
            ),
            Example(
                "Another command, on the way to a registry",
                "oci-push mutate image.tar registry.example.com/team/app:1.5 --cmd 'serve --all'",
            ),
        ),
        "index create": (
            Example(
                "One index of images that were pushed for each platform",
                "oci-push index create registry.example.com/team/app:1.5"
                " registry.example.com/team/app:1.4 image.tar=linux/arm64",
            ),
        ),
        "index add": (
            Example(
                "One more platform",
                "oci-push index add registry.example.com/team/app:all image.tar=linux/s390x",
            ),
        ),
        "index remove": (
            Example(
                "All but one platform, under another tag",
                "oci-push index remove registry.example.com/team/app:all linux/arm64 --tag small",
            ),
        ),
        "index annotate": (
            Example(
                "Say where the source of it is",
                "oci-push index annotate registry.example.com/team/app:all org.opencontainers.image.source=https://example.com/app",
            ),
        ),
        "attach": (
            Example("An SBOM, told by its content", "oci-push attach registry.example.com/team/app:1.4 sbom.spdx.json"),
            Example(
                "Anything else, by its type",
                "oci-push attach registry.example.com/team/app:1.4 notes.md:text/markdown",
            ),
        ),
        "sign": (
            Example(
                "With a key of cosign's or openssl's",
                "oci-push sign registry.example.com/team/app:1.4 --key signing.key",
            ),
            Example(
                "An index with all that it lists, for podman",
                "oci-push sign registry.example.com/team/app:1.4 --key signing.key --recursive",
            ),
        ),
        "attest": (
            Example(
                "With an SBOM",
                "oci-push attest registry.example.com/team/app:1.4 --type spdxjson --predicate sbom.spdx.json"
                " --key signing.key",
            ),
        ),
        "verify": (
            Example("By a public key", "oci-push verify registry.example.com/team/app:signed --key signing.pub"),
        ),
        "referrers": (Example("All of it", "oci-push referrers registry.example.com/team/app:1.4"),),
        "artifact push": (
            Example(
                "A file and a folder",
                "oci-push artifact push notes.md:text/markdown manuals registry.example.com/team/notes:1"
                " --type application/vnd.example.notes.v1",
            ),
        ),
        "artifact pull": (
            Example("To a new folder", "oci-push artifact pull registry.example.com/team/notes:1 --output notes"),
        ),
        "tags": (Example("All of a repository", "oci-push tags registry.example.com/team/app"),),
        "repos": (Example("Where the registry lists them", "oci-push repos registry.example.com"),),
        "run": (
            Example("Rehearse it, with a registry inside the process", "oci-push run pipeline.yml --sandbox"),
            Example(
                "Run it, and keep a report and the outputs of its steps",
                "oci-push run pipeline.yml --report report.json --export outputs.env",
            ),
            Example("Its pushes by two processes of this machine", "oci-push run pipeline.yml --on local:2"),
        ),
        "plan": (
            Example("What would run, in which order, and what would be skipped", "oci-push plan pipeline.yml"),
            Example(
                "The same on another branch, as JSON", "oci-push plan pipeline.yml --var CF_BRANCH=release/2 --json"
            ),
            Example(
                "Its pushes as units of work, for other machines", "oci-push plan pipeline.yml --units units.jsonl"
            ),
        ),
        "validate": (
            Example("All that is wrong, with line and column", "oci-push validate pipeline.yml"),
            Example("Against another oci-push.yaml", "oci-push validate pipeline.yml --config oci-push.yaml"),
        ),
        "eval": (
            Example(
                "Would this branch be pushed?",
                "oci-push eval \"match('${{CF_BRANCH}}', '^release/', false)\" --var CF_BRANCH=release/2",
            ),
        ),
        "variables": (Example("What a pipeline of this folder would know", "oci-push variables"),),
        "schema": (
            Example(
                "For an editor that completes keys of oci-push.yaml", "oci-push schema config > config.schema.json"
            ),
        ),
        "login": (
            Example(
                "Where there is no terminal, the password comes from stdin",
                'echo "$PASSWORD" | oci-push login registry.example.com --username alice --password-stdin',
            ),
            Example("A registry of oci-push.yaml, whose login that file names", "oci-push login demo"),
        ),
        "logout": (Example("Remove the login from the files and helpers", "oci-push logout registry.example.com"),),
        "whoami": (
            Example("All logins that are known", "oci-push whoami"),
            Example("Who goes to this registry", "oci-push whoami registry.example.com"),
        ),
        "auth explain": (
            Example("Which login is used, and why", "oci-push auth explain registry.example.com/team/app"),
        ),
        "doctor": (
            Example("Look at this machine", "oci-push doctor"),
            Example("Look at a registry, too", "oci-push doctor registry.example.com/team/app"),
        ),
        "blob get": (
            Example(
                "The empty config that artifacts have, by its digest",
                f"oci-push blob get registry.example.com/team/app@{_EMPTY} -o empty.json",
            ),
        ),
        "blob put": (
            Example("Print its digest", "oci-push blob put registry.example.com/team/app image.tar"),
            Example("From stdin", 'echo "$TEXT" | oci-push blob put registry.example.com/team/app -'),
        ),
        "blob head": (Example("Is it there?", f"oci-push blob head registry.example.com/team/app@{_EMPTY}"),),
        "blob delete": (
            Example("See what would go", f"oci-push blob delete registry.example.com/team/app@{_EMPTY} --dry-run"),
        ),
        "manifest get": (
            Example("The very bytes", "oci-push manifest get registry.example.com/team/app:1.4 > manifest.json"),
        ),
        "manifest put": (
            Example("Under one more tag", "oci-push manifest put registry.example.com/team/app:stable manifest.json"),
        ),
        "manifest head": (
            Example("Digest, type and size", "oci-push manifest head registry.example.com/team/app:1.4"),
        ),
        "sandbox": (
            Example("A registry on port 5000 that keeps its images", "oci-push sandbox --port 5000 --root images"),
        ),
        "integrations import": (
            Example(
                "Registries of docker's logins", "oci-push integrations import config.json --output registries.yaml"
            ),
        ),
        "ecr replication show": (Example("The rules of a region", "oci-push ecr replication show --region eu-west-1"),),
        "ecr replication set": (
            Example("See what would change", "oci-push ecr replication set rules.yml --region eu-west-1 --plan"),
        ),
        "ecr replication wait": (
            Example(
                "Until every region serves it",
                "oci-push ecr replication wait 123456789012.dkr.ecr.eu-west-1.amazonaws.com/app:1.4",
            ),
        ),
        "init": (
            Example("See what would be written here", "oci-push init --stdout"),
            Example("Write it to a folder", "oci-push init --output-dir ci"),
        ),
        "completion": (
            Example("For bash, in ~/.bashrc", "source <(oci-push completion bash)"),
            Example("For zsh, in ~/.zshrc after compinit", "source <(oci-push completion zsh)"),
            Example("For fish", "oci-push completion fish > ~/.config/fish/completions/oci-push.fish"),
        ),
        "man": (Example("Read it", "oci-push man > oci-push.1"),),
    }
)
"""By the words of the command."""
