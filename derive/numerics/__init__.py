"""Forms without a spurious inf, nan or 0."""
