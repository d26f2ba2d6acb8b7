"""Packets that are dropped: of peers (a partition), or of clients.

What comes is dropped where it arrives, as if it had been lost on its way; answers to clients are dropped
where they leave. Each fault has chains of its own, so that one can change while another stays.
"""

from __future__ import annotations

from typing import Dict, List

from harness.hand import iptables, probe
from harness.hand.context import Context, Operation, Refused, Undoer, Value
from harness.hand.iptables import Chain, Rules, family
from harness.hand.origin import origin, spare_controller
from harness.hand.patience import until

CUT = (Chain(iptables.PREFIX + "CUT", "INPUT"),)
CLIENTS = (Chain(iptables.PREFIX + "CLIENTS", "INPUT"), Chain(iptables.PREFIX + "ANSWERS", "OUTPUT"))
HEARD_LIMIT_S = 0.5
"""Only what was delayed, or does not come at all, is waited for."""
POLL_S = 0.02


def cut(context: Context, args: Value) -> Value:
    """From now on drop what comes from the addresses `peers`, by name, and from nobody else; and, with a
    `token`, note whose calls come in. What was `dropped` by what was there before, by address."""
    spare_controller(args["peers"])
    rules: Dict[int, Dict[Chain, List[str]]] = {}
    for address in args["peers"].values():
        version = family(address)
        here = rules.setdefault(version, {CUT[0]: [*iptables.NEIGHBOURS[version]]})
        here[CUT[0]].append(f"-s {address} -j DROP")
    found = iptables.lay(context, rules, CUT)
    if "token" in args:
        probe.listen(context, args["token"], family(args["address"]))
    return {"dropped": iptables.by_address(found)}


def heard(context: Context, args: Value) -> Value:
    """Whose calls came in since (`heard`), after waiting a little for those that are `wanted`; and what was
    `dropped` by the cut so far, by address, after waiting a little for something from each."""
    names = probe.heard(context, args["wanted"], HEARD_LIMIT_S)
    dropped: Dict[str, int] = {}

    def all_have_dropped() -> bool:
        dropped.update(iptables.by_address(iptables.counts(context, CUT)))
        return all(dropped.values())

    until(all_have_dropped, HEARD_LIMIT_S, POLL_S)
    return {"heard": names, "dropped": dropped}


def cut_clients(context: Context, args: Value) -> Value:
    """From now on drop what comes to the TCP port `port` from none of the addresses `nodes`, and what that
    port answers them."""
    port = int(args["port"])
    controller = origin()
    if controller is not None and port == controller.port:
        raise Refused(f"port {port} is that of the SSH connection by which the host is controlled")
    rules: Dict[int, Rules] = {}
    for version in (4, 6):
        nodes = [address for address in args["nodes"] if family(address) == version]
        if nodes:
            coming = ["-i lo -j RETURN", *(f"-s {address} -j RETURN" for address in nodes)]
            going = ["-o lo -j RETURN", *(f"-d {address} -j RETURN" for address in nodes)]
            coming.append(f"-p tcp -m tcp --dport {port} -j DROP")
            going.append(f"-p tcp -m tcp --sport {port} -j DROP")
            rules[version] = {CLIENTS[0]: coming, CLIENTS[1]: going}
    return _dropped(iptables.lay(context, rules, CLIENTS))


def heal_clients(context: Context, args: Value) -> Value:
    """How many packets of clients and to them were `dropped`."""
    return _dropped(iptables.lay(context, {}, CLIENTS))


def clients_dropped(context: Context, args: Value) -> Value:
    return _dropped(iptables.counts(context, CLIENTS))


OPERATIONS: Dict[str, Operation] = {
    "cut": cut,
    "heard": heard,
    "cut-clients": cut_clients,
    "heal-clients": heal_clients,
    "clients-dropped": clients_dropped,
    **probe.OPERATIONS,
}
UNDOERS: Dict[str, Undoer] = {iptables.KIND: iptables.undo}


def _dropped(found: List[iptables.Counted]) -> Value:
    return {"dropped": sum(rule.packets for rule in found if rule.drops)}
