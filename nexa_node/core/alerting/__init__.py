"""Rules, and the life of the alerts they make: decisions alone, as Prometheus makes them."""
