"""Andon keeps a self-hosted GitHub Actions fleet trustworthy.

The rooms below this package, and who may import whom, are described in docs/architecture.md.
"""

__version__ = "2026.11.0"
