"""Plans of dangerous operations: made, and held against what is the case then."""
