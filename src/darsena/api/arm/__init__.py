"""ARM's slice of the control plane. `ArmEdge(...).routes` are rows for the control host's router (without case)."""

from darsena.api.arm.context import ArmContext, ArmGate, Call, make_route
from darsena.api.arm.edge import ArmEdge

__all__ = ["ArmContext", "ArmEdge", "ArmGate", "Call", "make_route"]
