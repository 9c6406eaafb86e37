"""The published language of nexa: what nodes, agents and consoles say to each other.

Everything here is a frozen msgspec Struct, a NewType, a constant or a pure function,
and needs msgspec and the standard library alone. Both wings import it; it imports
neither. A word has one meaning in the whole repository, and this is where it is fixed.
"""
