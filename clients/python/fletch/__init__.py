"""Fletch's Python client: related products over stock grpcio.

    with fletch.Client("127.0.0.1:50051") as client:
        for item in client.related("bash", limit=5).items:
            print(item.product_id, item.score)
"""

from fletch.client import Client

__all__ = ["Client"]
