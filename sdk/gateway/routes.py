"""Which resource a request reads: method and path against the gateway's routes, and who in it is the person asked about."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from sdk.gateway.body import BodyShape
from sdk.gateway.denials import Denied
from sdk.persons.numbers import RESIDENT_TYPE

MAX_QUERY_FIELDS: Final = 200
MAX_PERSON_NUMBER_LENGTH: Final = 64
OWN_PATHS: Final = "/gov/"
"""Below it the gateway answers itself; no data service is asked."""
NO_ROUTE: Final = "-"
"""Stands for the path template of a request that fits none: the path itself may name a person."""

# What a server behind this one might read as another path than the one that was matched here.
_UNSAFE_ENCODED: Final = re.compile(rb"#|%(2[ef]|3f|5c|00|25|(?![0-9a-f]{2}))", re.IGNORECASE)
_UNSAFE: Final = re.compile(r"//|\\|[\x00-\x1f\x7f]|/[.\s]+(?:/|$)|;|\ufffd")
"""Some servers drop spaces behind dots, and take overlong bytes, which are no UTF-8 and stand here as U+FFFD, for what they mean."""
_PARAMETER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_JSON_TYPE: Final = re.compile(rb"\s*application/json\s*(;\s*charset\s*=\s*\"?utf-8\"?\s*)?", re.IGNORECASE)
_ODD_NAME: Final = re.compile(r"[\x00-\x1f\x7f%\ufffd]")
"""In a parameter's name: what one server cuts off and another keeps, decodes once more (`%255F`, `%u005F`), or reads in another charset."""
_MERGED: Final = str.maketrans(". ", "__")
_FORM_TYPES: Final = (b"application/x-www-form-urlencoded", b"multipart/")


class PersonPlace(NamedTuple):
    """Where a request names the person asked about: in its "path", "query" or JSON "body", and under which names."""

    where: str
    names: tuple[str, ...]


class Route(NamedTuple):
    """One operation of the data service: its resource, the shape of its answers, and where the person is named."""

    method: str
    path: str
    resource: str
    shape: BodyShape
    person: PersonPlace | None
    person_type: str
    """The kind of number that the person is named by."""
    pattern: re.Pattern[str]

    @property
    def operation(self) -> str:
        """Method and path template, as records of reads have it."""
        return f"{self.method} {self.path}"


class Matched(NamedTuple):
    """A route, and what its path's parameters are in a request."""

    route: Route
    parameters: Mapping[str, str]


def make_route(
    method: str,
    path: str,
    resource: str,
    shape: BodyShape,
    person: PersonPlace | None,
    person_type: str = RESIDENT_TYPE,
) -> Route:
    """Return a route; raise ValueError where the path template or the person's place is none."""
    if not path.startswith("/") or _UNSAFE.search(path) or "?" in path:
        raise ValueError(f"path {path!r}: expected one such as /houses/{{certificate}}")
    if path.startswith(OWN_PATHS):
        raise ValueError(f"path {path!r}: what is below {OWN_PATHS} is the gateway's own")
    names = _PARAMETER.findall(path)
    literal = _PARAMETER.sub("", path)
    if "{" in literal or "}" in literal or len(set(names)) != len(names):
        raise ValueError(f"path {path!r}: a parameter is one name in braces, used once")
    parts = _PARAMETER.split(path)
    pattern = "".join(f"(?P<{part}>[^/]+)" if position % 2 else re.escape(part) for position, part in enumerate(parts))
    if person is not None and person.where == "path" and person.names[0] not in names:
        raise ValueError(f"person: the path {path!r} has no parameter {person.names[0]!r}")
    return Route(method.upper(), path, resource, shape, person, person_type, re.compile(pattern))


def parse_person_place(text: str) -> PersonPlace | None:
    """Return the place that `path:name`, `query:name` or `body:outer.inner` means, None for an empty text; raise ValueError."""
    if not text:
        return None
    where, _, name = text.partition(":")
    names = tuple(name.split(".")) if where == "body" else (name,)
    if where not in ("path", "query", "body") or not all(names):
        raise ValueError(f"person {text!r}: expected path:NAME, query:NAME or body:NAME")
    return PersonPlace(where, names)


def match_route(routes: Sequence[Route], method: str, path: str, raw_path: bytes) -> Matched:
    """Return the first route that a request fits; raise Denied PATH_MALFORMED or ROUTE_UNKNOWN."""
    if _UNSAFE_ENCODED.search(raw_path) or _UNSAFE.search(path):
        raise Denied("PATH_MALFORMED")
    for route in routes:
        if route.method == method and (match := route.pattern.fullmatch(path)) is not None:
            return Matched(route, match.groupdict())
    raise Denied("ROUTE_UNKNOWN")


class Content(NamedTuple):
    """What a request says: its query string, its body, and each `Content-Type` that it has."""

    query: bytes
    body: bytes
    types: tuple[bytes, ...]


def person_number(matched: Matched, content: Content) -> str:
    """Return the number of the person whom a request asks about, empty where its route has no single one.

    Raises Denied PERSON_MISSING, also where a service behind might find another one than is found here: named twice, in letters of
    another case, or in a body that can be read as something else than JSON.
    """
    place = matched.route.person
    if place is None:
        return ""
    if place.where == "path":
        found = matched.parameters[place.names[0]]
    elif place.where == "query":
        found = _of_query(content, place.names[0])
    else:
        found = _of_body(content, place.names)
    found = found.strip()
    if not 0 < len(found) <= MAX_PERSON_NUMBER_LENGTH:
        raise Denied("PERSON_MISSING")
    return found


def _of_query(content: Content, name: str) -> str:
    # Many services look for a parameter in the query and in a form alike; and some take ; for &.
    is_form = any(kind.strip().lower().startswith(_FORM_TYPES) for kind in content.types)
    if (content.body and is_form) or b";" in content.query:
        return ""
    try:
        fields = parse_qsl(content.query.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        return ""
    if any(_ODD_NAME.search(key) for key, _ in fields):
        return ""
    found: str = _only(fields, name)
    return found


def _of_body(content: Content, names: Sequence[str]) -> str:
    if len(content.types) != 1 or _JSON_TYPE.fullmatch(content.types[0]) is None:
        return ""
    try:
        # As pairs: of a name that comes twice, one reader takes the first value and another the last.
        found = json.loads(content.body.decode("utf-8"), object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return ""
    for name in names:
        found = _only(found, name) if isinstance(found, _Pairs) else ""
    return found if isinstance(found, str) else ""


class _Pairs(list[tuple[str, Any]]):
    """The members of a JSON object in their order."""


def _only(pairs: Sequence[tuple[str, Any]], name: str) -> Any:
    """Return the value of a name, empty where it is not there or not alone."""
    found = [(key, value) for key, value in pairs if _may_be(key, name)]
    return found[0][1] if len(found) == 1 and found[0][0] == name else ""


def _may_be(key: str, name: str) -> bool:
    """Return whether a service may take one name for another: `ID`, `id[]` and what is cut at a NUL; PHP makes `_` of `.`, ` ` and `[`."""
    plain = _merged(key)
    return _merged(name) in (plain.partition("[")[0], plain.replace("[", "_"))


def _merged(name: str) -> str:
    return name.partition("\0")[0].strip().casefold().translate(_MERGED)
