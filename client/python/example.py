"""The first calls of a Python program: ``example.py [ADDRESSES [FILE]]``, with commas between addresses."""

import sys
import time
from collections.abc import Callable
from typing import TypeVar

import grpc

import standpipe

T = TypeVar("T")


def patiently(call: Callable[[], T], attempts: int = 5) -> T:
    """What a call gives. A server that has too much to do says when to come again, so it is asked again."""
    for _ in range(attempts - 1):
        try:
            return call()
        except standpipe.CallError as error:
            if error.code is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            time.sleep(error.retry_after or 1.0)
    return call()


def tour(client: standpipe.Client, sound: str) -> None:
    """Five calls, each of another kind."""
    vectors = client.embed_text(["A dog runs in the park.", "A puppy plays outside."])
    print(f"embed: {vectors.shape[0]} vectors of {vectors.shape[1]} numbers", flush=True)

    (labels,) = client.classify_text(["What a wonderful film!"], timeout=10)
    print(f"classify: {labels[0].label} {labels[0].score:.2f}", flush=True)

    question = "Why do firefighters use a standpipe? Answer in two sentences."
    print("chat: ", end="")
    for delta in client.stream_chat([{"role": "user", "content": question}]):
        print(delta.content, end="", flush=True)

    (said,) = client.transcribe_audio([sound])
    print(f"\ntranscribe: {said.text}", flush=True)

    again = patiently(lambda: client.embed_text(["Any hose couples."]))
    print(f"overload: there was room for {len(again)} text")


def main() -> None:
    """Connect, call, and tell what was refused."""
    addresses = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051"
    sound = sys.argv[2] if len(sys.argv) > 2 else "speech.ogg"
    try:
        with standpipe.Client(addresses.split(","), timeout=60) as client:
            tour(client, sound)
    except standpipe.CallError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
