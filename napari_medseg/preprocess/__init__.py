"""From a scan to what a network wants to see, and back."""
