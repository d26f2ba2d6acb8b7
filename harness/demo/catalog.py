"""The demos by name, and what the plan of a demo's part names, made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from harness.catalog import Pieces
from harness.demo import cap, pacelc, quorum, sharding
from harness.demo.base import Demo, DemoError
from harness.ledger import Requested
from harness.plan import Plan, PlanError
from workloads.base import Workload

DEMOS: Final[Mapping[str, Demo]] = {
    demo.name: demo for demo in (cap.DEMO, pacelc.DEMO, sharding.DEMO, quorum.DEMO)
}


def asked_for(plan: Plan) -> tuple[Workload, tuple[Requested, ...]]:
    """As `assemble`, of which it is a part."""
    pieces = assemble(plan)
    return pieces.workload, pieces.requested


def assemble(plan: Plan) -> Pieces:
    """As `harness.catalog` has it for other plans. Raises `PlanError` if it is no part of a demo."""
    plan.validate()
    name, _, part = plan.demo.partition("/")
    demo = DEMOS.get(name)
    try:
        if demo is not None and plan.cluster in demo.clusters:
            return demo.assemble(plan, part)
    except DemoError as error:
        raise PlanError(str(error)) from None
    except (KeyError, ValueError):
        pass
    raise PlanError(
        f"the plan is of {plan.demo!r} on {plan.cluster}, which is no part of a demo that there is"
    )
