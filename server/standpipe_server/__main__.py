"""``standpipe`` on the command line, also where only the light client is installed."""

import os
import sys

# gRPC's fork handlers can do nothing useful here, and they report each compiler that torch starts.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")


def main() -> None:
    """Run the command line, or say what to install for it."""
    try:
        from standpipe_server.cli import app
    except ModuleNotFoundError as error:
        sys.exit(f"standpipe: the command line needs {error.name}: pip install 'standpipe[server,openvino]'")
    app()


if __name__ == "__main__":
    main()
