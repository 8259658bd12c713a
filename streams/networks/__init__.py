"""The networks, a file each, and what is common to them."""
