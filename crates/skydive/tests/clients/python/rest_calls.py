"""Every call of skydive-client's RESTClient about the topology, with what the original promises of each.

Usage: rest_calls.py ADDRESS
"""

import sys
import time
import uuid

from expect import eventually, refused
from skydive.graph import Edge, Node
from skydive.rest.client import RESTClient


def nodes(client):
    assert client.node_list() == []
    before = int(time.time() * 1000)
    a = client.node_create(metadata={"Name": "a", "Type": "device", "Depth": {"At": 3}})
    assert isinstance(a, Node)
    assert uuid.UUID(a.id) and a.host and a.revision == 1
    assert before <= a.created_at == a.updated_at <= int(time.time() * 1000)
    assert a.metadata == {"Name": "a", "Type": "device", "Depth": {"At": 3}}
    b = client.node_create(node_id="node-b", host="elsewhere", metadata={"Name": "b", "Type": "device"})
    assert (b.id, b.host) == ("node-b", "elsewhere")

    assert b"Node ID conflict" in refused(lambda: client.node_create(node_id="node-b", metadata=b.metadata))
    assert b"Name is required" in refused(lambda: client.node_create(metadata={"Type": "device"}))

    add = [{"op": "add", "path": "/Metadata/Vendor", "value": "x"}]
    patched = client.node_update("node-b", add)
    assert patched.metadata == {"Name": "b", "Type": "device", "Vendor": "x"}
    assert patched.revision == 2 and patched.created_at == b.created_at and patched.updated_at >= b.updated_at
    # Nothing changes: 304 without a body, which is a refusal for this client.
    assert refused(lambda: client.node_update("node-b", add)) == b""
    assert refused(lambda: client.node_update("nobody", add)) == b""
    no_name = [{"op": "remove", "path": "/Metadata/Name"}]
    assert b"Metadata: Name is required" in refused(lambda: client.node_update("node-b", no_name))

    assert sorted(n.id for n in client.node_list()) == sorted([a.id, "node-b"])
    return a, b


def edges(client, a, b):
    assert client.edge_list() == []
    edge = client.edge_create(a.id, b.id, metadata={"RelationType": "layer2", "Speed": 10})
    assert isinstance(edge, Edge)
    assert (edge.parent, edge.child) == (a.id, b.id)
    assert edge.metadata == {"RelationType": "layer2", "Speed": 10}
    named = client.edge_create(b.id, a.id, edge_id="edge", host="h", metadata={"RelationType": "ownership"})
    assert (named.id, named.host) == ("edge", "h")

    for parent, child, why in [("x", b.id, b"Parent node not found"), (a.id, "x", b"Child node not found")]:
        call = lambda: client.edge_create(parent, child, metadata={"RelationType": "layer2"})
        assert why in refused(call)
    assert b"RelationType is required" in refused(lambda: client.edge_create(a.id, b.id, metadata={"x": 1}))

    patched = client.edge_update("edge", [{"op": "add", "path": "/Metadata/Speed", "value": 100}])
    assert patched.metadata == {"RelationType": "ownership", "Speed": 100}
    assert sorted(e.id for e in client.edge_list()) == sorted([edge.id, "edge"])
    return edge


def lookups(client, a, b, edge):
    assert client.lookup("G.V().Count()") == 2
    assert sorted(client.lookup("G.V().Values('Name')")) == ["a", "b"]
    assert client.lookup("G.V().Has('Name', 'nobody')") == []
    graph = client.lookup("G")
    assert len(graph) == 1 and len(graph[0]["Nodes"]) == 2 and len(graph[0]["Edges"]) == 2
    (found,) = client.lookup_nodes("G.V().Has('Name', 'a')")
    assert isinstance(found, Node) and found.id == a.id and found.metadata["Depth"] == {"At": 3}
    (found,) = client.lookup_edges("G.E().Has('RelationType', 'layer2')")
    assert isinstance(found, Edge) and found.id == edge.id and (found.parent, found.child) == (a.id, b.id)
    (path,) = client.lookup("G.V('%s').ShortestPathTo(Metadata('Name', 'b'))" % a.id)
    assert [n["ID"] for n in path] == [a.id, b.id]
    assert refused(lambda: client.lookup("G.V(")) != b""


def rules(client, a, b):
    assert client.noderule_list() == [] and client.edgerule_list() == []
    made = client.noderule_create("create", metadata={"Name": "tor", "Type": "fabric"})
    assert made.uuid and made.action == "create" and made.metadata == {"Name": "tor", "Type": "fabric"}
    (tor,) = eventually("the node of a rule", lambda: client.lookup_nodes("G.V().Has('Name', 'tor')"))
    assert tor.metadata["Type"] == "fabric" and tor.metadata["Probe"] == "fabric"

    updating = client.noderule_create("update", metadata={"Site": "north"}, query="G.V().Has('Type', 'device')")
    sites = lambda: client.lookup("G.V().Has('Site', 'north').Count()")
    eventually("metadata of a rule", lambda: sites() == 2)
    assert b"Name and Type" in refused(lambda: client.noderule_create("update", metadata={"Name": "x"}, query="G.V()"))
    assert b"Gremlin" in refused(lambda: client.noderule_create("update", metadata={"x": "y"}, query="G.V("))

    relation = {"RelationType": "cable"}
    linking = client.edgerule_create("G.V().Has('Name', 'tor')", "G.V().Has('Name', 'a')", relation)
    assert linking.uuid and linking.metadata == relation
    cables = lambda: client.lookup_edges("G.E().Has('RelationType', 'cable')")
    (cable,) = eventually("the edge of a rule", cables)
    assert (cable.parent, cable.child) == (tor.id, a.id)

    assert sorted(r.uuid for r in client.noderule_list()) == sorted([made.uuid, updating.uuid])
    (listed,) = client.edgerule_list()
    assert (listed.uuid, listed.src, listed.dst) == (linking.uuid, linking.src, linking.dst)

    assert client.edgerule_delete(linking.uuid) is None
    eventually("the end of the edge", lambda: not cables())
    for rule in (updating, made):
        assert client.noderule_delete(rule.uuid) == b""
    eventually("the end of the metadata", lambda: sites() == 0)
    eventually("the end of the node", lambda: not client.lookup("G.V().Has('Name', 'tor')"))
    assert b"not found" in refused(lambda: client.noderule_delete(made.uuid))
    assert client.noderule_list() == [] and client.edgerule_list() == []


def deletions(client, a, b):
    assert client.edge_delete("edge") is None
    assert refused(lambda: client.edge_delete("edge")) == b"Edge 'edge' not found\n"
    assert client.node_delete(b.id) == b""
    assert client.edge_list() == [], "edges go with their nodes"
    assert refused(lambda: client.node_delete(b.id)) == b"Node 'node-b' not found\n"
    assert client.node_delete(a.id) == b""
    assert client.node_list() == []


def main():
    address = sys.argv[1]
    # With a name the client logs in first; where there are no users it stays without a token, and goes on.
    for client in (RESTClient(address), RESTClient(address, username="jane", password="secret")):
        a, b = nodes(client)
        edge = edges(client, a, b)
        lookups(client, a, b, edge)
        rules(client, a, b)
        deletions(client, a, b)
    assert [c.name for c in client.auth.cookie_jar] == ["permissions"]


main()
