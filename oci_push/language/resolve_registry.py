"""Where a step pushes to: the integration or host that `registry` means, and the logins and regions of ECR."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from oci_push.language.document import Location
from oci_push.language.integrations import Integration, names_host
from oci_push.language.registry_rules import (
    AWS_PROVIDER,
    NONE_ADDED,
    aws_cloud,
    does_not_exist,
    not_for,
    refuse_region,
    refuse_role,
    unknown_registry,
)
from oci_push.language.resolving import ResolveContext, error, is_later, use
from oci_push.language.steps import AwsKeys, PushStep, Text
from oci_push.model.endpoint import Credential, RegistryEndpoint
from oci_push.model.identity import RegionalIdentity
from oci_push.model.reference import DOCKER_HUB
from oci_push.protocol.credentials import basic_password, basic_user
from oci_push.providers.families import regional
from oci_push.secret import Secret


class Registry(Struct, frozen=True):
    """Where a step pushes to: `endpoints` has one for each region. `name` is an integration's or a host.

    `served_in` are regions in which the image must be served before the step ends, none named: those of the
    registry's replication rules; ``None`` where nothing is waited for.
    """

    name: str
    prefix: str
    endpoints: tuple[RegistryEndpoint, ...]
    served_in: tuple[str, ...] | None = None


def resolve_registry(step: PushStep, resolve_context: ResolveContext) -> Registry:
    """Decide the registry of a push step; raises `ConfigError` with the place in the file."""
    return _creating(_of_step(step, resolve_context), resolve_context)


def _of_step(step: PushStep, resolve_context: ResolveContext) -> Registry:
    if step.provider == AWS_PROVIDER:
        return _inline_ecr(step, resolve_context)
    credential = None
    if step.credentials:
        user, password = (use(text, resolve_context) for text in step.credentials)
        where = f"credentials of step {step.name!r}"
        credential = Credential(basic_user(user, where), basic_password(password, where), source=where)
    return _named(step.registry, step.location, resolve_context, credential=credential, aws=step.aws)


def named_registry(named: Text | None, location: Location, resolve_context: ResolveContext) -> Registry:
    """Decide the registry that a text names, or the default one."""
    return _creating(_named(named, location, resolve_context), resolve_context)


def _creating(registry: Registry, resolve_context: ResolveContext) -> Registry:
    """Let missing repositories be created, where the whole run was told to."""
    if resolve_context.creation is None:
        return registry
    endpoints = tuple(
        replace(one, identity=replace(one.identity, creation=one.identity.creation or resolve_context.creation))
        if one.identity and one.identity.can_create
        else one
        for one in registry.endpoints
    )
    return replace(registry, endpoints=endpoints)


def _named(
    named: Text | None,
    location: Location,
    resolve_context: ResolveContext,
    *,
    credential: Credential | None = None,
    aws: AwsKeys | None = None,
) -> Registry:
    """Decide the registry that a text names, or the default one; `credential` wins over an integration's own."""
    if named is None:
        found = resolve_context.config.default()
        if found is None:
            # As docker does; the vendor's check calls it an error with number 200, which `validate` tells.
            return Registry(
                DOCKER_HUB,
                "",
                (RegistryEndpoint(DOCKER_HUB, credential, name="" if credential is None else location_name(location)),),
            )
        return _integration(found, resolve_context, credential, aws or AwsKeys())
    name = use(named, resolve_context)
    found = resolve_context.config.find(name)
    if found is not None:
        return _integration(found, resolve_context, credential, aws or AwsKeys())
    host = names_host(name)
    if host:
        return _host(host, named.location, resolve_context, credential, aws or AwsKeys())
    refusal = unknown_registry(name, [one.name for one in resolve_context.config.integrations])
    if refusal.message == NONE_ADDED:  # validate shows the line beside it, a run has only the message
        refusal = replace(refusal, message=f"{does_not_exist(name)} {NONE_ADDED}")
    raise refusal.at(named.location)


def location_name(location: Location) -> str:
    """Name a login that is written in a pipeline, so that it is kept apart from others on its host."""
    return f"{location.file}:{location.line}"


def _integration(
    found: Integration, resolve_context: ResolveContext, credential: Credential | None, aws: AwsKeys
) -> Registry:
    endpoint = found.endpoint(with_login=resolve_context.with_login)
    if found.provider != AWS_PROVIDER or not isinstance(endpoint.identity, RegionalIdentity):
        _refuse_aws(found.provider, aws)
        return Registry(found.name, found.prefix, (replace(endpoint, credential=credential or endpoint.credential),))
    identity = _with_role(endpoint.identity, aws, resolve_context)
    regions = _regions(found, identity, aws, resolve_context)
    served_in: tuple[str, ...] | None = None
    if found.replicate or resolve_context.wait_replication:
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


def _host(
    host: str, location: Location, resolve_context: ResolveContext, credential: Credential | None, aws: AwsKeys
) -> Registry:
    cloud = regional(host)
    if cloud is None:
        if aws.role_arn is not None:
            raise error(aws.role_arn.location, f"role_arn needs an ECR registry, and {host} is none")
        return Registry(
            host, "", (RegistryEndpoint(host, credential, name=location_name(location) if credential else ""),)
        )
    region = _region(aws.region, resolve_context) if aws.region else cloud.identity_at(host).region
    identity = _with_role(
        _with_keys(replace(cloud.identity_at(host), region=region), aws, resolve_context), aws, resolve_context
    )
    _checked(identity, location, resolve_context)
    return Registry(host, "", (RegistryEndpoint(cloud.host_in(host, region), credential, identity=identity),))


def _inline_ecr(step: PushStep, resolve_context: ResolveContext) -> Registry:
    aws = step.aws
    if aws.region is None and not resolve_context.regions:
        hint = "write region: eu-west-1 beside provider: ecr"
        raise error(step.location, f"step {step.name!r}: provider: ecr needs a region", hint, 206)
    regions = (_region(aws.region, resolve_context),) if aws.region else resolve_context.regions
    identity = _with_role(
        _with_keys(aws_cloud().IDENTITY(region=regions[0]), aws, resolve_context), aws, resolve_context
    )
    _checked(identity, step.location, resolve_context)
    endpoints = tuple(
        RegistryEndpoint(
            _host_of(identity, region), name=f"step {step.name}", identity=replace(identity, region=region)
        )
        for region in regions
    )
    return Registry(endpoints[0].host, "", endpoints)


def _with_keys(identity: RegionalIdentity, aws: AwsKeys, resolve_context: ResolveContext) -> RegionalIdentity:
    if aws.access_key_id is None or aws.secret_access_key is None:
        one = aws.access_key_id or aws.secret_access_key
        if one is not None:
            raise error(one.location, "accessKeyId and secretAccessKey go together")
        return identity
    secret = Secret(use(aws.secret_access_key, resolve_context))
    return replace(identity, access_key_id=use(aws.access_key_id, resolve_context), secret_access_key=secret)


def _with_role(identity: RegionalIdentity, aws: AwsKeys, resolve_context: ResolveContext) -> RegionalIdentity:
    if aws.role_arn is None:
        return identity
    role = use(aws.role_arn, resolve_context)
    refusal = None if is_later(role, resolve_context) else refuse_role(role)
    if refusal is not None:
        raise refusal.at(aws.role_arn.location)
    given: dict[str, object] = {"role_arn": role, "account": ""}
    if aws.duration_s:
        given["duration_s"] = int(aws.duration_s)
    if aws.session_name:
        given["session_name"] = use(aws.session_name, resolve_context)
    return _checked(
        replace(identity, **given),
        aws.role_arn.location,
        resolve_context,
    )


def _checked(identity: RegionalIdentity, location: Location, resolve_context: ResolveContext) -> RegionalIdentity:
    """Raise what the cloud would refuse, as far as it is known already."""
    if not any(is_later(text, resolve_context) for text in identity.judged):
        problems = identity.problems()
        if problems:
            raise error(location, problems[0], "; ".join(problems[1:]) or None, 206)
    return identity


def _regions(
    found: Integration, identity: RegionalIdentity, aws: AwsKeys, resolve_context: ResolveContext
) -> tuple[str, ...]:
    if aws.region is not None:
        return (_region(aws.region, resolve_context),)
    own = _home(found, identity)
    return resolve_context.regions or found.regions or ((own,) if own else ())


def _home(found: Integration, identity: RegionalIdentity) -> str:
    """Return the integration's own region: what it says, or its domain does."""
    return identity.region or aws_cloud().identity_at(found.domain).region


def _region(text: Text, resolve_context: ResolveContext) -> str:
    region = use(text, resolve_context)
    refusal = None if is_later(region, resolve_context) else refuse_region(region)
    if refusal is not None:
        raise refusal.at(text.location)
    return region


def _host_of(identity: RegionalIdentity, region: str) -> str:
    """Return the host of an identity in a region; an account that only the cloud can tell is found out by the push."""
    return replace(identity, region=region).host


def _refuse_aws(provider: str, aws: AwsKeys) -> None:
    for key, given in (("region", aws.region), ("role_arn", aws.role_arn)):
        if given is not None:
            raise not_for(provider, key).at(given.location)
