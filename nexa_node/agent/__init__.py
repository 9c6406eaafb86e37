"""The library agent authors import: `from nexa_node.agent import Agent`."""
