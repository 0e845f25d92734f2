"""Networks: from a spec to equations, and what is derived of them."""
