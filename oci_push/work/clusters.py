"""Units of work for Kubernetes: an Indexed Job, or a Workflow of Argo, whose pods do a shard each.

Pods have no rights: https://kubernetes.io/docs/concepts/security/pod-security-standards/ (restricted). Nothing of a
login is written here: pods mount Secrets by their names.
"""

from __future__ import annotations

from oci_push.work.export import FINAL_CODES, TRIES, USER, Export, Lines, block, units_block, written

MOST_BYTES = 1024 * 1024
"""Of a ConfigMap: https://kubernetes.io/docs/concepts/configuration/configmap/#motivation"""
_LABELS = """\
labels:
  app.kubernetes.io/name: oci-push
  app.kubernetes.io/instance: $name
"""
_UNITS = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: $units
$meta
immutable: true
data:
  units.jsonl: |
${lines}---
"""
# https://kubernetes.io/docs/concepts/workloads/controllers/job/#backoff-limit-per-index
_JOB = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: $name
$meta
spec:
  # An index is a shard: work reads it from JOB_COMPLETION_INDEX.
  completionMode: Indexed
  completions: $shards
  parallelism: $at_once
  # How often each shard is tried again; the others go on.
  backoffLimitPerIndex: $tries
  podFailurePolicy:
    rules:
      # A pod that had to make room is no try.
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
            status: "True"
      # Wrong use, a source, a login: another try would end the same way.
      - action: FailIndex
        onExitCodes:
          containerName: work
          operator: In
          values: $final
  ttlSecondsAfterFinished: 86400
  template:
    metadata:
$labels
    spec:
      restartPolicy: Never
      automountServiceAccountToken: false
      enableServiceLinks: false
$pod
      containers:
        - name: work
$container"""
# https://argo-workflows.readthedocs.io/en/latest/fields/
_WORKFLOW = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata:
  name: $name
$meta
spec:
  entrypoint: main
  parallelism: $at_once
  podGC:
    strategy: OnPodSuccess
  ttlStrategy:
    secondsAfterCompletion: 86400
$pod
  templates:
    - name: main
      # Shards that fail do not stop the others.
      failFast: false
      steps:
        - - name: shard
            template: work
            arguments:
              parameters:
                - name: number
                  value: "{{item}}"
            withSequence:
              start: "1"
              end: $end

    - name: work
      inputs:
        parameters:
          - name: number
      # Wrong use, a source, a login: another try would end the same way.
      retryStrategy:
        limit: $limit
        retryPolicy: Always
        expression: $expression
        backoff:
          duration: "10"
          factor: "2"
      container:
        name: main
        command: [oci-push]
$container"""
_POD = """\
securityContext:
  runAsNonRoot: true
  runAsUser: $user
  runAsGroup: $user
  fsGroup: $user
  seccompProfile:
    type: RuntimeDefault
volumes:
  - name: scratch
    emptyDir:
      sizeLimit: 10Gi
"""
_OWN_UNITS = """\
  - name: units
    configMap:
      name: $units
"""
_OWN_LOGIN = """\
  # kubectl create secret docker-registry $secret --from-file=.dockerconfigjson=config.json
  - name: registry-login
    secret:
      secretName: $secret
      items:
        - key: .dockerconfigjson
          path: config.json
"""
_OWN_CONFIG = """\
  # kubectl create secret generic $config --from-file=oci-push.yaml
  - name: config
    secret:
      secretName: $config
"""
_OWN_DATA = """\
  - name: data
    persistentVolumeClaim:
      claimName: $claim
"""
_CONTAINER = """\
image: $image
args:
  - work
  - $file
  - $shard
${limits}${results}${working}env:
${env}  - name: TMPDIR
    value: /scratch
  - name: XDG_CACHE_HOME
    value: /scratch/cache
# The end of what it says is shown where pods are described.
terminationMessagePolicy: FallbackToLogsOnError
resources:
  requests:
    cpu: 500m
    memory: 192Mi
  limits:
    memory: 512Mi
securityContext:
  runAsNonRoot: true
  runAsUser: $user
  runAsGroup: $user
  readOnlyRootFilesystem: true
  allowPrivilegeEscalation: false
  capabilities:
    drop: [ALL]
  seccompProfile:
    type: RuntimeDefault
volumeMounts:
  - name: scratch
    mountPath: /scratch
"""
_MOUNT = """\
  - name: $name
    mountPath: $path
"""
_READ_ONLY = """\
    readOnly: true
"""


def indexed_job(export: Export) -> str:
    """Return a ConfigMap of the units, where they fit into one, and an Indexed Job."""
    env = {"OCI_PUSH_SHARDS": str(export.shards)}
    return _documents(export) + written(
        _JOB,
        name=export.name,
        meta=_meta(export),
        shards=export.shards,
        at_once=export.at_once,
        tries=TRIES,
        final=Lines(list(FINAL_CODES)),
        labels=_flush(block(written(_LABELS, name=export.name), 6)),
        pod=_flush(block(_account(export) + _pod(export), 6)),
        container=block(_container(export, "--shard=env", "$(JOB_COMPLETION_INDEX)", env), 10),
    )


def argo_workflow(export: Export) -> str:
    """Return a ConfigMap of the units, where they fit into one, and a Workflow of Argo."""
    number = "{{inputs.parameters.number}}"
    return _documents(export) + written(
        _WORKFLOW,
        name=export.name,
        meta=_meta(export),
        at_once=export.at_once,
        end=str(export.shards),
        limit=str(TRIES),
        expression=f"!(asInt(lastRetry.exitCode) in {list(FINAL_CODES)})",
        pod=_flush(block(_account(export) + _pod(export), 2)),
        container=block(_container(export, f"--shard={number}/{export.shards}", number, {}), 8),
    )


def is_in_config_map(export: Export) -> bool:
    """Return whether the units fit into a ConfigMap; else they are read from the volume."""
    return sum(map(len, units_block(export.text, 0))) <= MOST_BYTES


def _documents(export: Export) -> str:
    start = f"{export.head} kubectl create -f starts it; apply wants --server-side.\n"
    if not is_in_config_map(export):
        return start
    lines = units_block(export.text, 4)
    return start + written(_UNITS, units=_units_name(export), meta=_meta(export), lines=lines)


def _meta(export: Export) -> Lines:
    namespace = written("namespace: $namespace\n", namespace=export.namespace) if export.namespace else ""
    return _flush(block(namespace + written(_LABELS, name=export.name), 2))


def _account(export: Export) -> str:
    return written("serviceAccountName: $account\n", account=export.account) if export.account else ""


def _pod(export: Export) -> str:
    text = written(_POD, user=USER)
    if is_in_config_map(export):
        text += written(_OWN_UNITS, units=_units_name(export))
    if export.secret:
        text += written(_OWN_LOGIN, secret=export.secret)
    if export.config:
        text += written(_OWN_CONFIG, config=export.config)
    if export.volume:
        text += written(_OWN_DATA, claim=export.volume.claim)
    return text


def _container(export: Export, shard: str, number: str, env: dict[str, str]) -> str:
    has_units = is_in_config_map(export)
    volume = export.volume
    file = "/units/units.jsonl" if has_units or volume is None else f"{volume.path}/{export.file}"
    results = working = ""
    if volume:
        # What was done is kept there, so that another try does only what is left.
        results = written("  - $results\n", results=f"--results={volume.path}/{export.name}-results-{number}.jsonl")
        working = written("workingDir: $path\n", path=volume.path)
    if export.secret:
        env = {**env, "DOCKER_CONFIG": "/registry-login"}
    if export.config:
        env = {**env, "OCI_PUSH_CONFIG": "/config/oci-push.yaml"}
    lines = [written("  - name: $name\n    value: $value\n", name=name, value=value) for name, value in env.items()]
    text = written(
        _CONTAINER,
        image=export.image,
        file=file,
        shard=shard,
        limits=Lines("".join(written("  - $option\n", option=option) for option in export.limit_options)),
        results=Lines(results),
        working=Lines(working),
        env=Lines("".join(lines)),
        user=USER,
    )
    mounts = {"units": "/units"} if has_units else {}
    mounts |= {"registry-login": "/registry-login"} if export.secret else {}
    mounts |= {"config": "/config"} if export.config else {}
    text += "".join(written(_MOUNT + _READ_ONLY, name=name, path=path) for name, path in mounts.items())
    return text + (written(_MOUNT, name="data", path=volume.path) if volume else "")


def _units_name(export: Export) -> str:
    return f"{export.name}-units"


def _flush(lines: str) -> Lines:
    return Lines(lines.removesuffix("\n"))
