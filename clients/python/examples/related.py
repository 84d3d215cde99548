"""Prints what products lead to; several are taken as a cart."""

import argparse
import pathlib
import sys

import grpc

import fletch


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", help="host:port or unix:/path")
    parser.add_argument("product", nargs="+")
    parser.add_argument("--ca", type=pathlib.Path, help="authorities to trust, PEM: talk TLS")
    parser.add_argument("--token-file", type=pathlib.Path, help="file with the bearer token to show")
    parser.add_argument("--timeout", type=float, default=1.0, help="seconds that an answer may take")
    arguments = parser.parse_args()
    credentials = grpc.ssl_channel_credentials(arguments.ca.read_bytes()) if arguments.ca else None
    token = arguments.token_file.read_text().strip() if arguments.token_file else None
    with fletch.Client(arguments.server, credentials=credentials, token=token, timeout=arguments.timeout) as client:
        try:
            if len(arguments.product) == 1:
                answer = client.related(arguments.product[0])
            else:
                answer = client.related_to_cart(arguments.product)
        except grpc.RpcError as error:
            print(f"{error.code().name}: {error.details()}", file=sys.stderr)
            return 1
    for item in answer.items:
        print(f"{item.score:10.4f}  {item.product_id}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
