"""Where a step pushes to: the integration or host that `registry` means, and the logins and regions of ECR."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from oci_push.errors import ConfigError
from oci_push.language.document import Location
from oci_push.language.integrations import Integration
from oci_push.language.registry_choice import AWS_PROVIDER, ChosenRegistry, aws_cloud, choose_registry, refuse_registry
from oci_push.language.resolving import ResolveContext, raise_together
from oci_push.language.steps import AwsKeys, PushStep, Text
from oci_push.model.endpoint import Credential, RegistryEndpoint
from oci_push.model.identity import RegionalIdentity
from oci_push.protocol.credentials import basic_password, basic_user
from oci_push.providers.families import regional
from oci_push.secret import Secret

_NO_KEYS = AwsKeys()


class Registry(Struct, frozen=True):
    """Where a step pushes to: `endpoints` has one for each region. `name` is an integration's or a host.

    `served_in` are regions in which the image must be served before the step ends, none named: those of the
    registry's replication rules; ``None`` where nothing is waited for.
    """

    name: str
    prefix: str
    endpoints: tuple[RegistryEndpoint, ...]
    served_in: tuple[str, ...] | None = None


def resolve_registry(step: PushStep, context: ResolveContext) -> Registry:
    """Return the registry of a push step; raises `ConfigError` with the place in the file."""
    chosen = _chosen(step.registry, context, step.location, step.provider, step.aws)
    if chosen.is_own_ecr:
        return _creating(_own_ecr(step, context), context)
    credential = None
    if step.credentials:
        user, password = (context.use(text) for text in step.credentials)
        where = f"credentials of step {step.name!r}"
        credential = Credential(basic_user(user, where), basic_password(password, where), source=where)
    location = step.location if step.registry is None else step.registry.location
    found = _registry(chosen, location, context, credential, step.aws)
    if credential is not None and any(one.is_alone for one in found.endpoints):
        path = context.config.path
        message = f"{path} was found, not named, and says how {found.name} is reached: it gets no credentials of a step"
        raise_together([location.problem(message, hint=f"name the file, if you trust it: --config {path}")])
    return _creating(found, context)


def named_registry(named: Text | None, location: Location, context: ResolveContext) -> Registry:
    """Return the registry that a text names, or the default one."""
    return _creating(_registry(_chosen(named, context, location), location, context), context)


def _chosen(
    named: Text | None, context: ResolveContext, at: Location, provider: str = "", aws: AwsKeys | None = None
) -> ChosenRegistry:
    """Return the registry that is meant; raises all that is refused of it."""
    config, fill = context.config, context.use_now
    chosen = choose_registry(named, config, fill, provider)
    refusals = refuse_registry(chosen, named, config, fill, aws=aws, at=at, regions=context.regions)
    raise_together([one.location.problem(one.message, code=one.code, hint=one.hint) for one in refusals])
    return chosen


def _creating(registry: Registry, context: ResolveContext) -> Registry:
    """Let missing repositories be created, where the whole run was told to."""
    if context.creation is None:
        return registry
    endpoints = tuple(
        replace(one, identity=replace(one.identity, creation=one.identity.creation or context.creation))
        if one.identity and one.identity.can_create
        else one
        for one in registry.endpoints
    )
    return replace(registry, endpoints=endpoints)


def _registry(
    chosen: ChosenRegistry,
    location: Location,
    context: ResolveContext,
    credential: Credential | None = None,
    aws: AwsKeys = _NO_KEYS,
) -> Registry:
    """Return how a registry is reached; `credential` wins over an integration's own."""
    if chosen.integration is not None:
        return _integration(chosen.integration, context, credential, aws)
    cloud = regional(chosen.host) if chosen.host else None
    if cloud is None:
        # The name of a login that is written in a pipeline keeps it apart from others on its host.
        name = f"{location.file}:{location.line}" if credential else ""
        host = chosen.host or chosen.name
        described = _described(host, context, has_login=credential is not None)
        endpoint = described or RegistryEndpoint(host, name=name)
        return Registry(host, "", (replace(endpoint, credential=credential or endpoint.credential),))
    own = cloud.identity_at(chosen.host)
    region = context.use(aws.region) if aws.region else own.region
    identity = _with_role(_with_keys(replace(own, region=region), aws, context), aws, context)
    return Registry(
        chosen.host, "", (RegistryEndpoint(cloud.host_in(chosen.host, region), credential, identity=identity),)
    )


def _described(host: str, context: ResolveContext, *, has_login: bool) -> RegistryEndpoint | None:
    """Return how a host is reached that is named itself and described under another name, as a push would."""
    found = context.config.for_pull(host)
    if found is None:
        return None
    try:
        endpoint = found.endpoint(with_login=context.with_login and not has_login)
        return found.with_headers(endpoint) if has_login and not found.is_alone else endpoint
    except ConfigError:
        if context.config.is_named or found.must_be_used:
            raise
        return None  # a file that was found and may not read its secrets describes nothing


def _integration(found: Integration, context: ResolveContext, credential: Credential | None, aws: AwsKeys) -> Registry:
    endpoint = found.endpoint(with_login=context.with_login)
    if found.provider != AWS_PROVIDER or not isinstance(endpoint.identity, RegionalIdentity):
        return Registry(found.name, found.prefix, (replace(endpoint, credential=credential or endpoint.credential),))
    identity = _with_role(endpoint.identity, aws, context)
    regions = _regions(found, identity, aws, context)
    served_in: tuple[str, ...] | None = None
    if found.replicate or context.wait_replication:
        home = _home(found, identity) or next(iter(regions), "")
        if aws.region is None:
            served_in, regions = tuple(region for region in regions if region != home), (home,)
        else:
            served_in = ()
    endpoints = tuple(
        replace(
            endpoint,
            host=aws_cloud().host_in(found.domain, region) if found.domain else _host_of(identity, region),
            credential=credential,
            identity=replace(identity, region=region),
        )
        for region in regions
    )
    return Registry(found.name, found.prefix, endpoints, served_in)


def _own_ecr(step: PushStep, context: ResolveContext) -> Registry:
    aws = step.aws
    regions = (context.use(aws.region),) if aws.region else context.regions
    identity = _with_role(_with_keys(aws_cloud().IDENTITY(region=regions[0]), aws, context), aws, context)
    endpoints = tuple(
        RegistryEndpoint(
            _host_of(identity, region), name=f"step {step.name}", identity=replace(identity, region=region)
        )
        for region in regions
    )
    return Registry(endpoints[0].host, "", endpoints)


def _with_keys(identity: RegionalIdentity, aws: AwsKeys, context: ResolveContext) -> RegionalIdentity:
    if aws.access_key_id is None or aws.secret_access_key is None:
        return identity
    secret = Secret(context.use(aws.secret_access_key))
    return replace(identity, access_key_id=context.use(aws.access_key_id), secret_access_key=secret)


def _with_role(identity: RegionalIdentity, aws: AwsKeys, context: ResolveContext) -> RegionalIdentity:
    if aws.role_arn is None:
        return identity
    given: dict[str, object] = {"role_arn": context.use(aws.role_arn), "account": ""}
    if aws.duration_s:
        given["duration_s"] = int(aws.duration_s)
    if aws.session_name:
        given["session_name"] = context.use(aws.session_name)
    return replace(identity, **given)


def _regions(found: Integration, identity: RegionalIdentity, aws: AwsKeys, context: ResolveContext) -> tuple[str, ...]:
    if aws.region is not None:
        return (context.use(aws.region),)
    own = _home(found, identity)
    return context.regions or found.regions or ((own,) if own else ())


def _home(found: Integration, identity: RegionalIdentity) -> str:
    """Return the integration's own region: what it says, or its domain does."""
    return identity.region or aws_cloud().identity_at(found.domain).region


def _host_of(identity: RegionalIdentity, region: str) -> str:
    """Return the host of an identity in a region; an account that only AWS can tell is found out by the push."""
    return replace(identity, region=region).host
