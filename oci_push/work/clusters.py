"""Units of work for Kubernetes: an Indexed Job, or a Workflow of Argo, whose pods do a shard each.

Pods have no rights: https://kubernetes.io/docs/concepts/security/pod-security-standards/ (restricted). Nothing of a
login is written here: pods mount Secrets by their names.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping

from oci_push.errors import CredentialsError
from oci_push.providers.families import find_family
from oci_push.work.export import FINAL_CODES, TRIES, USER, Carried, Export, Lines, block, units_block, written
from oci_push.work.units import hosts_asked

MOST_BYTES = 1024 * 1024
"""Of a ConfigMap: https://kubernetes.io/docs/concepts/configuration/configmap/#motivation"""
_ROW = 116
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
${data}---
"""
# https://kubernetes.io/docs/concepts/workloads/controllers/job/#backoff-limit-per-index
_JOB = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: $name
$meta
spec:
  # An index is a shard: work reads it from JOB_COMPLETION_INDEX. There must be as many as OCI_PUSH_SHARDS says.
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
      # $reason: another try would end the same way.
      - action: FailIndex
        onExitCodes:
          containerName: work
          operator: In
          values: $final
  ttlSecondsAfterFinished: 86400
  template:
    metadata:
$pod_labels
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
  podMetadata:
$pod_labels
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
      # $reason: another try would end the same way.
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
  # A volume with many images would take minutes to be given to the group, for each pod.
  fsGroupChangePolicy: OnRootMismatch
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
_PULLED = """\
# The image of oci-push may need a login, too.
imagePullSecrets:
  - name: $secret
"""
_JOB_UID = """\
  - name: JOB_UID
    valueFrom:
      fieldRef:
        fieldPath: metadata.labels['batch.kubernetes.io/controller-uid']
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
    return _documents(export) + written(
        _JOB,
        name=export.name,
        meta=_meta(export),
        shards=export.shards,
        at_once=export.at_once,
        tries=TRIES,
        reason=Lines(_reason(export)),
        final=Lines(list(_final_codes(export))),
        pod_labels=_flush(block(_pod_labels(export), 6)),
        pod=_flush(block(_pod(export), 6)),
        container=block(_job_container(export), 10),
    )


def argo_workflow(export: Export) -> str:
    """Return a ConfigMap of the units, where they fit into one, and a Workflow of Argo."""
    return _documents(export) + written(
        _WORKFLOW,
        name=export.name,
        meta=_meta(export),
        at_once=export.at_once,
        end=str(export.shards),
        limit=str(TRIES),
        reason=Lines(_reason(export)),
        expression=f"!(asInt(lastRetry.exitCode) in {list(_final_codes(export))})",
        pod_labels=_flush(block(_pod_labels(export), 4)),
        pod=_flush(block(_pod(export), 2)),
        container=block(_argo_container(export), 8),
    )


def carried_by_config_map(text: str) -> Carried | None:
    """Return a file of units as data of a ConfigMap, compressed where it must be; ``None`` where it is too large."""
    lines = units_block(text, 0)
    if len(lines) <= MOST_BYTES:
        return Carried("units.jsonl", Lines(f"data:\n  units.jsonl: |\n{block(lines, 4)}"))
    packed = zlib.compress(lines.encode(), 9, wbits=31)
    if len(packed) > MOST_BYTES:
        return None
    # A line break after a backslash is no part of a text: YAML 1.2.2, 7.3.1.
    told = base64.b64encode(packed).decode()
    shown = "".join(f"    {told[at : at + _ROW]}\\\n" for at in range(0, len(told), _ROW))
    return Carried(
        "units.jsonl.gz",
        Lines(f'# By gzip, as a ConfigMap holds 1 MiB.\nbinaryData:\n  units.jsonl.gz: "\\\n{shown}    "\n'),
    )


def _documents(export: Export) -> str:
    start = f"{export.head} kubectl create -f starts it; apply wants --server-side.\n"
    if export.carried is None:
        return start
    return start + written(_UNITS, units=_units_name(export), meta=_meta(export), data=export.carried.data)


def _meta(export: Export) -> Lines:
    namespace = written("namespace: $namespace\n", namespace=export.namespace) if export.namespace else ""
    return _flush(block(namespace + written(_LABELS, name=export.name), 2))


def _pod_labels(export: Export) -> str:
    found: dict[str, str] = {}
    for host in hosts_asked(export.units) if export.account else ():
        found |= find_family(host).pod_labels
    more = (written("  $name: $value\n", name=name, value=value) for name, value in found.items())
    return written(_LABELS, name=export.name) + "".join(more)


def _final_codes(export: Export) -> tuple[int, ...]:
    """Return the exit codes after which a shard is given up.

    A login that is mounted stays as it is. One that a cloud gives may come a little later than the pod:
    https://cloud.google.com/kubernetes-engine/docs/concepts/workload-identity#limitations
    """
    return (
        FINAL_CODES
        if _has_own_login(export)
        else tuple(code for code in FINAL_CODES if code != CredentialsError.exit_code)
    )


def _reason(export: Export) -> str:
    return f"Wrong use, a source, {'a login, ' if _has_own_login(export) else ''}no signature"


def _has_own_login(export: Export) -> bool:
    return bool(export.secret) and not export.account


def _pod(export: Export) -> str:
    text = written("serviceAccountName: $account\n", account=export.account) if export.account else ""
    if export.secret:
        text += written(_PULLED, secret=export.secret)
    text += written(_POD, user=USER)
    if export.carried:
        text += written(_OWN_UNITS, units=_units_name(export))
    if export.secret:
        text += written(_OWN_LOGIN, secret=export.secret)
    if export.config:
        text += written(_OWN_CONFIG, config=export.config)
    if export.volume:
        text += written(_OWN_DATA, claim=export.volume.claim)
    return text


def _job_container(export: Export) -> str:
    env = _variables({"OCI_PUSH_SHARDS": str(export.shards)}) + (_JOB_UID if export.volume else "")
    return _container(export, "--shard=env", "$(JOB_UID)-$(JOB_COMPLETION_INDEX)", env)


def _argo_container(export: Export) -> str:
    number = "{{inputs.parameters.number}}"
    return _container(export, f"--shard={number}/{export.shards}", f"{{{{workflow.uid}}}}-{number}", "")


def _container(export: Export, shard: str, run: str, env: str) -> str:
    """Return a container; `run` tells a shard of one run from all others, also from those of the same name."""
    volume, carried = export.volume, export.carried
    file = f"/units/{carried.file}" if carried else f"{volume.path if volume else ''}/{export.file}"
    results = working = ""
    if volume:
        # What was done is kept there, so that another try does only what is left.
        results = written("  - $results\n", results=f"--results={volume.path}/{export.name}-results-{run}.jsonl")
        working = written("workingDir: $path\n", path=volume.path)
    env += _variables({"DOCKER_CONFIG": "/registry-login"} if export.secret else {})
    env += _variables({"OCI_PUSH_CONFIG": "/config/oci-push.yaml"} if export.config else {})
    text = written(
        _CONTAINER,
        image=export.image,
        file=file,
        shard=shard,
        limits=Lines("".join(written("  - $option\n", option=option) for option in export.limit_options)),
        results=Lines(results),
        working=Lines(working),
        env=Lines(env),
        user=USER,
    )
    mounts = {"units": "/units"} if carried else {}
    mounts |= {"registry-login": "/registry-login"} if export.secret else {}
    mounts |= {"config": "/config"} if export.config else {}
    text += "".join(written(_MOUNT + _READ_ONLY, name=name, path=path) for name, path in mounts.items())
    return text + (written(_MOUNT, name="data", path=volume.path) if volume else "")


def _variables(env: Mapping[str, str]) -> str:
    return "".join(
        written("  - name: $name\n    value: $value\n", name=name, value=value) for name, value in env.items()
    )


def _units_name(export: Export) -> str:
    return f"{export.name}-units"


def _flush(lines: str) -> Lines:
    return Lines(lines.removesuffix("\n"))
