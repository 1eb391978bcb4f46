"""Publishes a graph with skydive-client's WSClient and drops the connection right after the last message.

Usage: publish.py ADDRESS HOST-ID persistent|transient FILE

FILE holds a list of [type, object] about the graph; an object with `Parent` becomes an Edge, another a Node, as the
package makes them. One that the package cannot make is sent as it is.
"""

import json
import sys

from skydive.graph import Edge, Node
from skydive.websocket.client import WSClient, WSClientDefaultProtocol, WSMessage


def element(obj):
    try:
        return (Edge if "Parent" in obj else Node).from_object(obj)
    except KeyError:
        return obj


class Publisher(WSClientDefaultProtocol):
    def onOpen(self):
        for kind, obj in json.load(open(self.factory.kwargs["file"])):
            self.sendWSMessage(WSMessage("Graph", kind, element(obj)))
        self.stop_when_complete()


address, host_id, policy, file = sys.argv[1:]
endpoint = "ws://%s/ws/publisher" % address
# A name makes it log in first, as a client does that was set up for a server with users.
client = WSClient(
    host_id, endpoint, protocol=Publisher, persistent=policy == "persistent", username="jane", password="x", file=file
)
client.connect()
client.start()
