
SearchQuery


	Network.A1.1.1.1 