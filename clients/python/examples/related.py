"""Prints what products lead to: related.py SERVER PRODUCT [PRODUCT ...] (several are taken as a cart)."""

import sys

import grpc

import fletch


def main(server: str, *product_ids: str) -> int:
    with fletch.Client(server) as client:
        try:
            if len(product_ids) == 1:
                answer = client.related(product_ids[0])
            else:
                answer = client.related_to_cart(product_ids)
        except grpc.RpcError as error:
            print(f"{error.code().name}: {error.details()}", file=sys.stderr)
            return 1
    for item in answer.items:
        print(f"{item.score:10.4f}  {item.product_id}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
