"""How the node is: its parts, its self-test, its going down."""
