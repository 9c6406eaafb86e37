"""The world: each adapter is the thinnest thing that satisfies a port."""
