"""Videos of which it is known what can be learned from them."""
