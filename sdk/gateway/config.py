"""The gateway's settings, gateway.toml: where it listens, what it stands before, its node, account and store, its limits and routes."""

from __future__ import annotations

import ssl
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec

from node.config import ConfigError, field_error, load_settings, parse_address
from sdk.access_recording.policy import (
    DEFAULT_ANCHOR_AFTER_S,
    DEFAULT_BATCH_RECORDS,
    DEFAULT_HEARTBEAT_S,
    OUTAGE_CODES,
    RecordingPolicy,
    check_policy,
)
from sdk.gateway.body import BodyShape
from sdk.gateway.decision import Places, QuotaPart
from sdk.gateway.routes import Route, make_route, parse_person_place
from sdk.persons.numbers import PERSON_CODE_TYPES, RESIDENT_TYPE
from verification.access.reads import MAX_COLUMNS
from verification.errors import InputError

MAX_ROUTES: Final = 1_000
MAX_NAMES: Final = 64
MAX_PLACES: Final = 1_000
MAX_BODY_LIMIT_BYTES: Final = 256 * 1024 * 1024
MAX_TOKEN_SECONDS: Final = 3_600
"""A token outlives the account's standing at most so long where the gateway's node cannot be asked."""

Seconds = Annotated[float, msgspec.Meta(gt=0, le=3_600)]
Bytes = Annotated[int, msgspec.Meta(ge=1, le=MAX_BODY_LIMIT_BYTES)]
Names = Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_NAMES)]


class Limits(msgspec.Struct, frozen=True):
    """What one read may take; bytes and seconds as named."""

    request_bytes: Bytes = 1024 * 1024
    answer_bytes: Bytes = 16 * 1024 * 1024
    service_timeout_s: Seconds = 30.0
    reads_in_hand: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 256
    token_s: Annotated[int, msgspec.Meta(ge=10, le=MAX_TOKEN_SECONDS)] = 300
    denied_per_minute: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 600
    """Of one department: each is recorded. Beyond it reads are refused without a look."""
    persons_per_minute: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 600
    """That the person service is asked for on behalf of one department. Beyond it numbers are sealed to the authority instead."""


_NEVER_FORWARDED: Final = frozenset(
    [
        "accept-encoding",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        # Whether a condition holds tells what is cut from an answer, and a part of one has no rows to count.
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "keep-alive",
        "range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        # Frameworks and proxies take these for the method and path, in place of those that were decided on.
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
    ]
)


class RouteConfig(msgspec.Struct, frozen=True):
    """One operation of the data service."""

    method: Annotated[str, msgspec.Meta(pattern="^(GET|POST)$")]
    path: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    """The path, with {name} for one segment that varies."""
    resource: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    """The catalogue's code of what is read."""
    rows: Annotated[str, msgspec.Meta(max_length=256)] = ""
    """Where the rows are in the JSON answer, such as "data.list"; empty where the answer is the list or the one row."""
    envelope: Names = ()
    """Members around the rows that leave also where a grant limits columns."""
    fields: Annotated[dict[str, str], msgspec.Meta(max_length=MAX_COLUMNS)] = {}
    """Key in a row = name of the item in the catalogue, where they differ."""
    person: Annotated[str, msgspec.Meta(max_length=200)] = ""
    """Where a request names the person asked about: "path:name", "query:name" or "body:outer.inner"."""
    person_type: str = RESIDENT_TYPE
    """The kind of number that it is named by, such as 111 for an identity number."""


class PersonsConfig(msgspec.Struct, frozen=True):
    """The auditing authority's service for commitments to persons, and the authority's code."""

    service: str
    authority: str


class SecondPlaceConfig(msgspec.Struct, frozen=True):
    """Where the reads of each batch go once more, sealed to the auditing authority: a folder, another department's node, or both."""

    folder: str = ""
    node: str = ""

    @property
    def shown(self) -> str:
        """Both of them for people, empty where there is none."""
        return " ".join(filter(None, (self.folder, self.node)))


class PolicyConfig(msgspec.Struct, frozen=True):
    """How reads are put on the ledger; the gateway declares it there (docs/spec/access-records.md)."""

    heartbeat_s: int = DEFAULT_HEARTBEAT_S
    max_batch_records: int = DEFAULT_BATCH_RECORDS
    anchor_after_s: int = DEFAULT_ANCHOR_AFTER_S
    on_outage: Literal["go-on", "stop"] = "go-on"
    stop_after_s: int = 0
    bodies_at: str = ""
    """Where auditors ask for reads, as they reach it: https://host of this gateway."""
    second_place: str = ""
    """What the ledger says of the second place."""

    def make(self) -> RecordingPolicy:
        """Return the policy as the recorder keeps to it; raise InputError where it cannot."""
        policy = RecordingPolicy(
            self.heartbeat_s,
            self.max_batch_records,
            OUTAGE_CODES[self.on_outage],
            self.stop_after_s,
            self.bodies_at,
            self.second_place,
            self.anchor_after_s,
        )
        check_policy(policy)
        return policy


class GatewayConfig(msgspec.Struct, frozen=True):
    """The file. Relative paths start at its folder."""

    listen: str
    service: str
    """The data service behind: http://host:port."""
    node: str
    """The department's own node: http://host:port."""
    key: str
    """Key file of a recorder's account that only this gateway uses."""
    password_file: str
    routes: Annotated[tuple[RouteConfig, ...], msgspec.Meta(min_length=1, max_length=MAX_ROUTES)]
    service_ca: str = ""
    """PEM file of the authorities that may have signed the certificate of an https service; empty for those of the system."""
    store: str = "reads.sqlite"
    http_names: Names = ()
    """Host names, with their port, that signed requests may be made out to, beside the address it listens on."""
    proxies: Names = ()
    """Addresses or networks of the proxies before it, whose X-Forwarded-For counts."""
    forward_headers: Names = ()
    """Headers of a request that reach the service beside accept, accept-language and content-type; none that frame it, put conditions
    to it or stand for its method or path, and none of the gateway's own."""
    places: Annotated[dict[str, tuple[str, ...]], msgspec.Meta(max_length=MAX_PLACES)] = {}
    """A place that grants may be limited to = the networks that it is."""
    quota_part: Annotated[str, msgspec.Meta(pattern="^[1-9][0-9]?/[1-9][0-9]?$")] = "1/1"
    """Which of how many gateways before the same resources this is, such as "1/2": each has its part of a day's quotas."""
    limits: Limits = Limits()
    policy: PolicyConfig = PolicyConfig()
    persons: PersonsConfig | None = None
    second_place: SecondPlaceConfig = SecondPlaceConfig()

    def make_routes(self) -> tuple[Route, ...]:
        """Return the routes as the gateway matches them; raise ValueError."""
        return tuple(
            make_route(
                one.method,
                one.path,
                one.resource,
                BodyShape(tuple(one.rows.split(".")) if one.rows else (), frozenset(one.envelope), one.fields),
                parse_person_place(one.person),
                one.person_type,
            )
            for one in self.routes
        )

    def make_quota_part(self) -> QuotaPart:
        """Return the part of quotas that is this gateway's; raise ValueError."""
        number, gateways = (int(one) for one in self.quota_part.split("/"))
        if number > gateways:
            raise ValueError(f"{number} > {gateways}")
        return QuotaPart(number, gateways)

    def make_places(self) -> Places:
        """Return each place as networks; raise ValueError."""
        return {name: tuple(ip_network(one) for one in networks) for name, networks in self.places.items()}


def load_gateway_config(path: Path) -> GatewayConfig:
    """Return the settings in `path`, all paths made absolute; raise ConfigError that names the file and field."""
    config = load_settings(path, GatewayConfig)
    try:
        parse_address(config.listen)
    except ValueError:
        raise field_error(
            path, "listen", "地址（如 127.0.0.1:8590）", "an address such as 127.0.0.1:8590", config.listen
        ) from None
    for field in ("service", "node"):
        _check_url(path, field, getattr(config, field))
    _check_persons(path, config)
    for field, check in (
        ("routes", config.make_routes),
        ("places", config.make_places),
        ("policy", config.policy.make),
        ("quota_part", config.make_quota_part),
    ):
        try:
            check()
        except (ValueError, InputError) as error:
            raise ConfigError(f"{path}: {field} 有误：{error}", f"{path}: {field}: {error}") from None
    if config.service_ca:
        config = msgspec.structs.replace(config, service_ca=str(path.absolute().parent / config.service_ca))
        _check_authorities(path, config.service_ca)
    for index, proxy in enumerate(config.proxies):
        try:
            ip_network(proxy)
        except ValueError:
            raise field_error(path, f"proxies[{index}]", "IP 地址或网段", "an IP address or network", proxy) from None
    for index, name in enumerate(config.forward_headers):
        # Behind some gateways of services (CGI, WSGI) `_` and `-` are the same.
        plain = name.strip().lower().replace("_", "-")
        if plain in _NEVER_FORWARDED or plain.startswith("gov-"):
            raise field_error(
                path,
                f"forward_headers[{index}]",
                "不属网关自用、不改变所问内容的请求头",
                "a header that is not the gateway's own, nor one that changes what is asked",
                name,
            )
    folder, second = path.absolute().parent, config.second_place
    if second.folder:
        second = msgspec.structs.replace(second, folder=str(folder / second.folder))
    files = {name: str(folder / getattr(config, name)) for name in ("key", "password_file", "store")}
    return msgspec.structs.replace(config, second_place=second, **files)


def _check_persons(path: Path, config: GatewayConfig) -> None:
    for index, route in enumerate(config.routes):
        if route.person and config.persons is None:
            raise field_error(
                path, f"routes[{index}].person", "空，或填写 [persons]", "nothing, or a section [persons]", route.person
            )
        if route.person_type not in PERSON_CODE_TYPES:
            known = ", ".join(PERSON_CODE_TYPES)
            raise field_error(path, f"routes[{index}].person_type", known, f"one of {known}", route.person_type)
    if config.persons is not None:
        _check_url(path, "persons.service", config.persons.service)
    if config.second_place.node:
        _check_url(path, "second_place.node", config.second_place.node)


def _check_authorities(path: Path, authorities: str) -> None:
    try:
        ssl.create_default_context(cafile=authorities)
    except OSError as error:
        raise ConfigError(
            f"{path}: service_ca：{authorities} 不是可用的 PEM 证书文件（{error}）",
            f"{path}: service_ca: {authorities} is no usable PEM file of certificates ({error})",
        ) from None


def _check_url(path: Path, field: str, text: str) -> None:
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise field_error(path, field, "网址（如 http://127.0.0.1:9000）", "a URL such as http://127.0.0.1:9000", text)
