"""The caching web server: pure HTTP rules and records here, the sockets on top of them."""
