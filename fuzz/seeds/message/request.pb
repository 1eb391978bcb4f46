1
GraphSyncRequestu È2({"Time": null, "GremlinFilter": "G.V()"}