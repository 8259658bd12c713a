"""The head, style and small parts of all pages."""
