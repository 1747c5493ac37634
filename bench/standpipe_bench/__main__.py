"""``standpipe-bench`` on the command line, also where only the light client is installed."""

import signal
import sys


def main() -> None:
    """Run the command line, or say what to install for it."""
    try:
        from standpipe_bench.cli import app
    except ModuleNotFoundError as error:
        sys.exit(f"standpipe-bench: needs {error.name}: pip install 'standpipe[bench]'")
    # Whoever ends it so, such as a time limit, wants what was measured as well.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except ModuleNotFoundError as error:
        # What runs models is asked for only by the commands that do.
        sys.exit(f"standpipe-bench: this needs {error.name}: pip install 'standpipe[server,openvino]'")


if __name__ == "__main__":
    main()
