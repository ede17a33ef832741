"""A workload: PyPI's `spiffe` client, unmodified. Prints one JSON line per event.

usage: client.py fetch|watch SOCKET
"""
import json
import sys
import threading
import time


def say(**event):
    print(json.dumps(event), flush=True)


def describe(svids):
    leaf = svids[0].leaf
    return {"spiffeId": str(svids[0].spiffe_id), "serial": str(leaf.serial_number), "notAfter": leaf.not_valid_after_utc.isoformat()}


def reason(error):
    texts = []
    while error is not None:
        texts.append(str(error))
        error = error.__cause__
    return " | ".join(texts)


def fetch(client):
    started = time.monotonic()
    try:
        svids = client.fetch_x509_svids()
        say(event="svid", ms=round((time.monotonic() - started) * 1000, 1), **describe(svids))
    except Exception as error:
        say(event="refused", reason=reason(error))


def watch(client):
    ended = threading.Event()

    def on_error(error):
        say(event="refused", reason=reason(error))
        ended.set()

    client.stream_x509_contexts(
        lambda context: say(event="svid", **describe(context.x509_svids)), on_error, retry_connect=False
    )
    ended.wait()


def main():
    from spiffe import WorkloadApiClient

    mode, socket = sys.argv[1:]
    with WorkloadApiClient(socket_path="unix://" + socket) as client:
        fetch(client) if mode == "fetch" else watch(client)


main()
