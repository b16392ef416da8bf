#!/usr/bin/env python3
"""Streams frames through Auralink's gRPC service and shows what comes back.

    pip install -r requirements.txt
    auralink serve &
    python stream_client.py photos/                      # a folder of pictures
    python stream_client.py camera:0 --pace              # a camera, through OpenCV
    ffmpeg -i film.mp4 -f yuv4mpegpipe - | python stream_client.py - -o film.h264

`--selftest` sends bad requests among the good ones and checks each answer (see selftest.py).
"""

import argparse
import importlib
import itertools
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import grpc
from grpc_tools import protoc

import frames

PROTO = Path(__file__).resolve().parents[2] / "proto"
CONTRACT = "auralink/aic/v1/frame_compression"
MAX_MESSAGE_BYTES = 64 << 20
# Seconds without an answer after which something is wrong.
PATIENCE_S = 30


def generate_stubs():
    """The contract's messages and client, generated anew so that they can't be out of date."""
    out = tempfile.mkdtemp(prefix="auralink-stubs-")
    arguments = ["protoc", f"-I{PROTO}", f"--python_out={out}", f"--grpc_python_out={out}", f"{CONTRACT}.proto"]
    if protoc.main(arguments) != 0:
        raise SystemExit("the contract could not be compiled")
    sys.path.insert(0, out)
    module = CONTRACT.replace("/", ".")
    return importlib.import_module(f"{module}_pb2"), importlib.import_module(f"{module}_pb2_grpc")


pb, pb_grpc = generate_stubs()


def connect(server: str):
    """A stub on a channel that takes large frames."""
    limits = [("grpc.max_send_message_length", MAX_MESSAGE_BYTES), ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
    channel = grpc.insecure_channel(server, options=limits)
    grpc.channel_ready_future(channel).result(timeout=PATIENCE_S)
    return pb_grpc.FrameCompressionStub(channel)


def exchange(stub, opening, requests: Iterable, window: int) -> Iterator:
    """Opens a stream, sends requests with at most `window` frames in flight, and gives each response."""
    free = threading.Semaphore(window)

    def outgoing():
        yield pb.CompressStreamRequest(open=opening)
        for request in requests:
            if request.HasField("frame") and not free.acquire(timeout=PATIENCE_S):
                raise TimeoutError(f"no answer for {PATIENCE_S} s")
            yield request

    for response in stub.CompressStream(outgoing()):
        kind = response.WhichOneof("message")
        if kind in ("packet", "dropped") or (kind == "error" and response.error.frame_number > 0):
            free.release()
        yield response


def frame_request(number: int, data: bytes):
    stamp_us = time.monotonic_ns() // 1000
    return pb.CompressStreamRequest(frame=pb.StreamFrame(frame_number=number, timestamp_us=stamp_us, data=data))


def frame_requests(film: frames.Film, count: int | None, pace: bool) -> Iterator:
    """Frame requests, numbered from 1, at the film's own speed where `pace` says so."""
    start = time.monotonic()
    for number, data in enumerate(itertools.islice(film.frames, count), 1):
        if pace:
            time.sleep(max(0.0, start + (number - 1) / film.fps - time.monotonic()))
        yield frame_request(number, data)


class Report:
    """What came back, shown once a second and at the end."""

    def __init__(self, out):
        self.out = out
        self.start = self.shown = time.monotonic()
        self.kinds = {"packet": 0, "dropped": 0, "error": 0}
        self.original_bytes = self.compressed_bytes = self.shown_bytes = self.shown_packets = 0
        self.latencies_ms, self.psnr_db, self.ssim = [], [], []

    def take(self, response):
        kind = response.WhichOneof("message")
        if kind in self.kinds:
            self.kinds[kind] += 1
        if kind == "packet":
            self.packet(response.packet)
        elif kind == "error":
            print(f"frame {response.error.frame_number}: {response.error.message}", file=sys.stderr)
        elif kind == "notice":
            print(f"server: {response.notice.message}", file=sys.stderr)

    def packet(self, packet):
        self.original_bytes += packet.original_bytes
        self.compressed_bytes += packet.compressed_bytes
        self.latencies_ms.append((time.monotonic_ns() // 1000 - packet.timestamp_us) / 1000)
        if packet.HasField("psnr_db"):
            self.psnr_db.append(packet.psnr_db)
        if packet.HasField("ssim"):
            self.ssim.append(packet.ssim)
        if self.out:
            self.out.write(packet.data)
        passed = time.monotonic() - self.shown
        if passed >= 1.0:
            packets = self.kinds["packet"] - self.shown_packets
            kbps = (self.compressed_bytes - self.shown_bytes) * 8 / passed / 1000
            print(f"{packets / passed:5.1f} fps {kbps:8.0f} kbit/s {100 * packet.reduction:5.1f} % saved{self.quality(60)}"
                  f"  {packet.plan.reason}")
            self.shown = time.monotonic()
            self.shown_bytes, self.shown_packets = self.compressed_bytes, self.kinds["packet"]

    def quality(self, newest: int) -> str:
        """Mean quality of the newest packets, where it was measured."""
        if not self.ssim:
            return ""
        mean = lambda values: sum(values[-newest:]) / len(values[-newest:])
        psnr = f"{mean(self.psnr_db):5.2f} dB" if self.psnr_db else "exact"
        return f"  PSNR {psnr}  SSIM {mean(self.ssim):.4f}"

    def summary(self):
        seconds = time.monotonic() - self.start
        answered = sum(self.kinds.values())
        print(f"{answered} frames answered in {seconds:.1f} s ({answered / seconds:.1f} a second): "
              + ", ".join(f"{count} {kind}" for kind, count in self.kinds.items()))
        if self.latencies_ms:
            self.latencies_ms.sort()
            p50, p95 = (self.latencies_ms[int(p * (len(self.latencies_ms) - 1))] for p in (0.5, 0.95))
            saved = 100 * (1 - self.compressed_bytes / self.original_bytes)
            print(f"{saved:.1f} % saved{self.quality(len(self.latencies_ms))}  latency p50 {p50:.1f} ms, p95 {p95:.1f} ms")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="a folder of pictures, a y4m file, - for y4m on standard input, or camera:N")
    parser.add_argument("--raw", metavar="FORMAT:WxH", help="the source is raw pixels, such as i420:1280x720")
    parser.add_argument("--server", default="127.0.0.1:50051")
    parser.add_argument("--codec", choices=["h264", "jpeg", "lossless"], default="h264")
    parser.add_argument("--mode", choices=["conservative", "adaptive", "aggressive"], default="adaptive")
    parser.add_argument("--fps", type=float, help="frames a second, instead of the source's")
    parser.add_argument("--frames", type=int, help="stop after this many")
    parser.add_argument("--window", type=int, default=2, help="frames in flight, 1 to 8")
    parser.add_argument("--pace", action="store_true", help="send at the source's speed, as with a declared network, not as fast as it goes")
    parser.add_argument("--bandwidth-kbps", type=float, help="declare a network of this bandwidth")
    parser.add_argument("--rtt-ms", type=float, default=40.0)
    parser.add_argument("-o", "--output", help="write the packets one after another: H.264, or MJPEG with --codec jpeg")
    parser.add_argument("--selftest", action="store_true", help="send bad requests among the good, check every answer")
    return parser.parse_args()


def opening(options, film: frames.Film):
    message = pb.Open(
        codec=pb.Codec.Value(f"CODEC_{options.codec.upper()}"),
        format=pb.PixelFormat.Value(f"PIXEL_FORMAT_{film.format}"),
        width=film.width, height=film.height, fps=film.fps,
        mode=pb.Mode.Value(f"MODE_{options.mode.upper()}"),
        measure_quality=True, window=options.window,
    )
    if options.bandwidth_kbps:
        message.network.CopyFrom(pb.NetworkConditions(bandwidth_kbps=options.bandwidth_kbps, rtt_ms=options.rtt_ms))
    return message


def main():
    options = arguments()
    if options.output and options.codec == "lossless":
        raise SystemExit("only H.264 and JPEG packets make a film when written one after another")
    film = frames.read(options.source, options.raw, options.fps)
    stub = connect(options.server)
    if options.selftest:
        import selftest
        selftest.run(stub, opening(options, film), film, options.frames)
        return
    with open(options.output, "wb") if options.output else tempfile.TemporaryFile() as out:
        report = Report(out if options.output else None)
        try:
            # A declared link only means something in time.
            pace = options.pace or options.bandwidth_kbps is not None
            requests = frame_requests(film, options.frames, pace)
            for response in exchange(stub, opening(options, film), requests, options.window):
                report.take(response)
        except grpc.RpcError as error:
            raise SystemExit(f"{error.code().name}: {error.details()}") from None
        finally:
            report.summary()


if __name__ == "__main__":
    # So that selftest.py, which imports this module by name, gets this one and not a second.
    sys.modules["stream_client"] = sys.modules["__main__"]
    main()
