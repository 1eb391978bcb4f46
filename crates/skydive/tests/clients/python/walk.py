"""Somebody who knows only the original's documentation and `pip install skydive-client`.

Usage: walk.py ADDRESS

Runs where an agent watches; makes and deletes a pair of interfaces there with `ip`.
"""

import json
import subprocess
import sys

from skydive.rest.client import BadRequest, RESTClient
from skydive.websocket.client import (
    EdgeAddedMsgType,
    NodeAddedMsgType,
    NodeDeletedMsgType,
    NodeUpdatedMsgType,
    SyncReplyMsgType,
    SyncRequestMsg,
    SyncRequestMsgType,
    WSClient,
    WSClientDefaultProtocol,
    WSMessage,
)

DEADLINE = 20
address = sys.argv[1]


def ip(command):
    subprocess.run(["ip", *command.split()], check=True)


# Connect and query.
rest = RESTClient(address)
(host,) = rest.lookup_nodes("G.V().Has('Type', 'host')")
(loopback,) = rest.lookup_nodes("G.V().Has('Type', 'host').Out().Has('Name', 'lo')")

# Add a node and an edge.
switch = rest.node_create(metadata={"Name": "switch", "Type": "device"})
cable = rest.edge_create(switch.id, loopback.id, metadata={"RelationType": "layer2"})
(neighbour,) = rest.lookup_nodes("G.V().Has('Name', 'switch').OutE('RelationType', 'layer2').OutV()")
assert neighbour.id == loopback.id


class Story(WSClientDefaultProtocol):
    """Hears of the veth from its beginning to its end, and of what it was linked to."""

    veth = None
    linked = set()
    up = False

    def onOpen(self):
        self.sendWSMessage(WSMessage("Graph", SyncRequestMsgType, SyncRequestMsg("")))

    def onMessage(self, payload, isBinary):
        assert not isBinary
        message = json.loads(payload.decode())
        assert message["Namespace"] == "Graph", message
        kind, obj = message["Type"], message["Obj"]
        if kind == SyncReplyMsgType:
            assert switch.id in [n["ID"] for n in obj["Nodes"]]
            assert cable.id in [e["ID"] for e in obj["Edges"]]
            ip("link add walk0 type veth peer name walk1")
        elif kind == NodeAddedMsgType and obj["Metadata"]["Name"] == "walk0":
            assert obj["Metadata"]["Type"] == "veth"
            Story.veth = obj["ID"]
        elif kind == EdgeAddedMsgType and Story.veth in (obj["Parent"], obj["Child"]):
            Story.linked.add(obj["Metadata"]["RelationType"])
            if Story.linked == {"ownership", "layer2"}:
                (seen,) = rest.lookup_nodes("G.V().Has('Name', 'walk0')")
                assert seen.id == Story.veth
                # Both, for a carrier.
                ip("link set walk1 up")
                ip("link set walk0 up")
        elif kind == NodeUpdatedMsgType and obj["ID"] == Story.veth and obj["Metadata"]["State"] == "UP":
            if not Story.up:
                Story.up = True
                ip("link del walk0")
        elif kind == NodeDeletedMsgType and obj["ID"] == Story.veth:
            self.stop()


# Subscribe and see a veth appear.
subscriber = WSClient("walker", "ws://%s/ws/subscriber" % address, protocol=Story)
subscriber.connect()
subscriber.loop.call_later(DEADLINE, lambda: sys.exit("no end of the story: %s %s" % (Story.veth, Story.linked)))
subscriber.start()
assert Story.veth and rest.lookup("G.V().Has('Name', 'walk0')") == []

# Delete.
rest.edge_delete(cable.id)
rest.node_delete(switch.id)
assert rest.lookup("G.V().Has('Name', 'switch').Count()") == 0
try:
    rest.node_delete(switch.id)
except BadRequest:
    sys.exit(0)
sys.exit("deleted twice")
