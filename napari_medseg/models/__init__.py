"""The network: its shape, its weights and its file. Importing this package imports no torch."""
