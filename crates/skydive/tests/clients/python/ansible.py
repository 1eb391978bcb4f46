"""What the original's Ansible modules do, through skydive-client as they do it. Prints the module's UUID.

Usage: ansible.py ADDRESS node NAME TYPE SEED
       ansible.py ADDRESS edge NODE1 NODE2 RELATION

Ids follow from what is made, so that a playbook may run again. The program ends right after the message, as the modules
for lists do. Those for one element stop the loop before: with the asyncio of their time the message went out all the same.
"""

import os
import sys
import uuid

from skydive.graph import Edge, Node
from skydive.rest.client import RESTClient
from skydive.websocket.client import EdgeAddedMsgType, NodeAddedMsgType
from skydive.websocket.client import WSClient, WSClientDefaultProtocol, WSMessage


class Inject(WSClientDefaultProtocol):
    def onOpen(self):
        try:
            self.sendWSMessage(WSMessage("Graph", self.factory.kwargs["kind"], self.factory.kwargs["element"]))
        finally:
            self.factory.client.loop.call_soon(self.stop)


def inject(address, host_id, kind, element):
    url = "ws://%s/ws/publisher" % address
    client = WSClient(host_id, url, protocol=Inject, persistent=True, kind=kind, element=element)
    client.connect()
    client.start()
    print(element.id)


def node(address, name, kind, seed):
    uid = uuid.uuid5(uuid.NAMESPACE_OID, seed or "%s:%s" % (name, kind))
    made = Node(str(uid), "", metadata={"Model": "Cisco xxxx", "Name": name, "Type": kind})
    inject(address, "ansible-%d-" % os.getpid(), NodeAddedMsgType, made)


def selected(address, selector):
    if not selector.startswith(("G.", "g.")):
        return selector
    nodes = RESTClient(address, scheme="http", insecure=False, username="", password="").lookup_nodes(selector)
    assert len(nodes) == 1, "%s selects %d nodes" % (selector, len(nodes))
    return str(nodes[0].id)


def edge(address, node1, node2, relation):
    node1, node2 = selected(address, node1), selected(address, node2)
    uid = uuid.uuid5(uuid.NAMESPACE_OID, "%s:%s:%s" % (node1, node2, relation))
    made = Edge(str(uid), "", node1, node2, metadata={"RelationType": relation})
    # All edges come under this one name, one connection after the other.
    inject(address, "analyzer", EdgeAddedMsgType, made)


address, what, *arguments = sys.argv[1:]
{"node": node, "edge": edge}[what](address, *arguments)
