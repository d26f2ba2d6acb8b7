"""What most combinators are: one generator inside another, and what to do with the operation it gives."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from checkers.history import Op
from harness.context import Context
from harness.generator import Answer, Generator, Pending


class Wrapper(Struct, frozen=True):
    """Passes on everything as it is; what a combinator does differently it says by overriding."""

    child: Generator

    def op(self, ctx: Context) -> Answer:
        answer = self.child.op(ctx)
        if answer is None:
            return None
        if isinstance(answer, Pending):
            return self.pending(answer)
        return self.emit(ctx, answer[0], answer[1])

    def emit(self, ctx: Context, op: Op, rest: Generator | None) -> Answer:
        """The answer, when the child would give `op` and leave `rest`."""
        return op, None if rest is None else self.around(rest)

    def pending(self, answer: Pending) -> Pending:
        """The child's pending, as this generator's."""
        if answer.generator is None:
            return answer
        return Pending(answer.until, self.around(answer.generator))

    def update(self, ctx: Context, event: Op) -> Generator:
        child = self.child.update(ctx, event)
        return self if child is self.child else self.around(child)

    def around(self, child: Generator) -> Generator:
        return replace(self, child=child)
