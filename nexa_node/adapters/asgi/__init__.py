"""HTTP and WebSocket on one port: one file per resource."""
