"""Governance: the chain parameters in state, changed by a governor from one height to the next."""

from __future__ import annotations

from typing import Final

from contracts.accounts import GOVERNOR
from contracts.fields import Uint64, check_list
from contracts.frame import Context, SystemContract
from contracts.parameters import BOUNDS, ChainParameters, changed_parameters, verify_parameters
from contracts.records import Reader, Table, Writer
from contracts.refusals import Refused

_PARAMETERS_KEY: Final = b"parameters"

PARAMETERS: Final = Table("governance", 1, ChainParameters)
CONTRACT: Final = SystemContract("governance")
PARAMETERS_SET: Final = CONTRACT.event("ParametersSet", names="string[]", values="uint64[]")


@CONTRACT.write(GOVERNOR)
def set_parameters(ctx: Context, names: list[str], values: list[Uint64]) -> None:
    """Set the chain parameters called `names` to `values`, from the next height on."""
    if not names:
        raise Refused("LIST_EMPTY", field="names")
    check_list("names", names, len(BOUNDS))
    if len(values) != len(names):
        raise Refused("LENGTHS_DIFFER", field="values", expected=len(names), found=len(values))
    changed = changed_parameters(load_parameters(ctx), dict(zip(names, values, strict=True)))
    PARAMETERS.save(ctx, _PARAMETERS_KEY, changed)
    ctx.emit(PARAMETERS_SET, names, values)


@CONTRACT.view()
def parameters(ctx: Context) -> ChainParameters:
    """Return the chain parameters of the next height."""
    return load_parameters(ctx)


def parameters_key() -> bytes:
    """Return the key in state of the chain parameters."""
    return PARAMETERS.key(_PARAMETERS_KEY)


def load_parameters(state: Reader) -> ChainParameters:
    """Return the chain parameters of the next height; raise LookupError in a state that was begun without them."""
    found = PARAMETERS.load(state, _PARAMETERS_KEY)
    if found is None:
        raise LookupError("the state holds no chain parameters")
    return found


def write_genesis(state: Writer, parameters: ChainParameters) -> None:
    """Write the parameters that the chain starts with; refuse those that no call could set."""
    verify_parameters(parameters)
    PARAMETERS.save(state, _PARAMETERS_KEY, parameters)
