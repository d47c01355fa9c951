"""What to correct next: numbers are ranked here, files and networks are known elsewhere."""
