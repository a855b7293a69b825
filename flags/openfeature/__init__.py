"""Flags for other Python services, through the OpenFeature SDK (docs/openfeature.md).

Needs the extra `openfeature`. Nothing else of this package imports it.
"""

from flags.openfeature.provider import ChatstreamFlagProvider

__all__ = ["ChatstreamFlagProvider"]
