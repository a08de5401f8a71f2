"""Drop the tutorial's collections, as they were prepared and as they were restored."""

import argparse

from pymilvus import MilvusClient

from hello_milvus import RECOVERED, argument_parser, run, tutorial_collections


def main() -> None:
    """Read the arguments and run."""
    parser = argument_parser(__doc__)
    parser.add_argument(
        "--suffix", default=RECOVERED, help="of the restored collections (default: %(default)s)"
    )
    run(clean, parser.parse_args())


def clean(client: MilvusClient, options: argparse.Namespace) -> bool:
    """Drop those that are there."""
    prepared = list(tutorial_collections())
    restored = [name + options.suffix for name in prepared]
    for name in dict.fromkeys(prepared + restored):
        if client.has_collection(name):
            client.drop_collection(name)
            print(f"{name}: dropped")
    return True


if __name__ == "__main__":
    main()
