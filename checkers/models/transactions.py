"""Several registers, read and written by transactions."""

from __future__ import annotations

from typing import Any, Final

from checkers.models.base import ILLEGAL, Illegal, Model, State, Value, frozen, show


class MultiRegister(Model):
    """Several registers, read and written by transactions: `txn` with the value [[:read x 1] [:write y 2]].

    `initial` maps registers to the values they begin with; the others begin as None. Without it, nothing is
    known of how they begin: the first read of a register that was not written yet says what it held."""

    name = "multi-register"
    summary = "txn over several registers, with the value [[:read x 1] [:write y 2]]"
    operations = frozenset({"txn"})
    keyed = False

    def __init__(self, initial: dict[str, Value] | None = None) -> None:
        self._known = initial is not None
        self.initial = tuple(sorted((name, frozen(value)) for name, value in (initial or {}).items()))

    def step(self, state: State, f: str, value: Value) -> State | Illegal:
        registers = dict(state)
        for verb, register, item in value:
            if verb in _WRITES or (register not in registers and not self._known):
                registers[register] = item
            elif registers.get(register) != item:
                return ILLEGAL
        return tuple(sorted(registers.items(), key=_by_name))

    def pure(self, f: str, value: Value) -> bool:
        return self._known and all(verb not in _WRITES for verb, _, _ in value)

    def malformed(self, f: str, value: Value) -> str | None:
        if isinstance(value, tuple) and all(
            isinstance(each, tuple) and len(each) == 3 and each[0] in _VERBS for each in value
        ):
            return None
        return f"the value of a txn is [[:read x 1] [:write y 2]], not {show(value)}"


_READS: Final = frozenset({":read", "read", ":r", "r"})
_WRITES: Final = frozenset({":write", "write", ":w", "w"})
_VERBS: Final = _READS | _WRITES


def _by_name(register: tuple[Any, Value]) -> str:
    return str(register[0])
