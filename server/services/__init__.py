"""The one place that knows which adapters exist: chosen from the settings, opened in order.

Whoever opens services closes them in reverse, whatever happened in between.
"""

from server.services.faults import StartError
from server.services.opening import open_services, settle_garbage_collector
from server.services.services import ROOT, Services
from server.services.stores import choose_stores, store_fault

__all__ = [
    "ROOT",
    "Services",
    "StartError",
    "choose_stores",
    "open_services",
    "settle_garbage_collector",
    "store_fault",
]
