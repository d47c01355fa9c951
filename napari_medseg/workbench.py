"""What is open now, and what can be done with it; no Qt, no torch, one per viewer."""

from __future__ import annotations
