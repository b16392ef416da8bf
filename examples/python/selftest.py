"""Bad requests among the good: each gets the right status and names its field, and the stream goes on.

Run by `stream_client.py SOURCE --selftest`.
"""

import io
import math
import uuid

import grpc
from google.rpc import error_details_pb2, status_pb2
from PIL import Image

import frames
from stream_client import exchange, frame_request, frame_requests, pb

INVALID = grpc.StatusCode.INVALID_ARGUMENT
TOO_LARGE_BYTES = 11 << 20
# Bad frames get numbers from here on, apart from the film's.
BAD_NUMBER = 1_000_000


def run(stub, opening, film: frames.Film, count: int | None):
    check_unary(stub)
    answers = check_stream(stub, opening, film, count)
    print(f"selftest passed: {answers} frames answered among bad requests")


def expect(condition: bool, told):
    if not condition:
        raise SystemExit(f"selftest FAILED: {told}")


def violations(error: grpc.RpcError) -> dict[str, str]:
    """The field violations of a status, by field."""
    for key, value in error.trailing_metadata():
        if key == "grpc-status-details-bin":
            found = error_details_pb2.BadRequest()
            for detail in status_pb2.Status.FromString(value).details:
                if detail.Unpack(found):
                    return {violation.field: violation.description for violation in found.field_violations}
    return {}


def refused(what: str, field: str, call):
    """Calls, and checks that the answer is INVALID_ARGUMENT naming the field."""
    try:
        call()
    except grpc.RpcError as error:
        found = violations(error)
        expect(error.code() == INVALID, f"{what}: {error.code().name}, {error.details()}")
        expect(any(name.endswith(field) for name in found), f"{what}: {field} is not named in {found}")
        print(f"{what}: {error.code().name}, {found}")
    else:
        expect(False, f"{what}: was taken")


def check_unary(stub):
    picture = lambda **fields: pb.CompressFrameRequest(picture=pb.Picture(**fields))
    raw = dict(format=pb.PIXEL_FORMAT_RGB8, width=320, height=180)
    refused("a wrong size", "data", lambda: stub.CompressFrame(picture(**raw, data=bytes(320 * 180 * 3 - 1))))
    encoded = picture(format=pb.PIXEL_FORMAT_ENCODED, data=bytes(TOO_LARGE_BYTES))
    refused("an encoded picture of 11 MiB", "data", lambda: stub.CompressFrame(encoded))
    tiny = picture(format=pb.PIXEL_FORMAT_GRAY8, width=16, height=16, data=bytes(256))
    refused("a picture too small", "width", lambda: stub.CompressFrame(tiny))
    network = pb.NetworkConditions(bandwidth_kbps=math.nan)
    hints = pb.GetCompressionHintsRequest(format=pb.PIXEL_FORMAT_RGB8, width=320, height=180, network=network)
    refused("a network of NaN", "bandwidth_kbps", lambda: stub.GetCompressionHints(hints))
    refused("a session id that is no UUID", "session_id", lambda: stub.GetSession(pb.GetSessionRequest(session_id="no")))
    old = pb.Open(session_id=str(uuid.uuid1()), format=pb.PIXEL_FORMAT_RGB8, width=320, height=180)
    refused("a UUID of version 1", "session_id", lambda: list(exchange(stub, old, [], 1)))


def with_bad_requests(film: frames.Film, count: int | None):
    """The film's frames with one bad request of each kind after every tenth."""
    for number, request in enumerate(frame_requests(film, count, pace=False), 1):
        yield request
        if number % 10 == 0:
            yield frame_request(BAD_NUMBER + number, request.frame.data[:-1])
            yield frame_request(2 * BAD_NUMBER + number, bytes(TOO_LARGE_BYTES))
            yield pb.CompressStreamRequest(network=pb.NetworkConditions(bandwidth_kbps=math.nan))


def check_stream(stub, opening, film: frames.Film, count: int | None) -> int:
    good, bad_frames, bad_networks, packets = set(), set(), 0, 0
    for response in exchange(stub, opening, with_bad_requests(film, count), opening.window or 2):
        match response.WhichOneof("message"):
            case "packet":
                packets += 1
                expect(response.packet.frame_number not in good, "a frame was answered twice")
                good.add(response.packet.frame_number)
                check_packet(response.packet)
            case "dropped":
                good.add(response.dropped.frame_number)
            case "error":
                fields = {violation.field: violation.description for violation in response.error.violations}
                expect(response.error.code == INVALID.value[0], response.error)
                if response.error.frame_number:
                    expect(any(name.endswith("data") for name in fields), f"a bad frame: {fields}")
                    bad_frames.add(response.error.frame_number)
                else:
                    expect(any(name.endswith("bandwidth_kbps") for name in fields), f"a bad network: {fields}")
                    bad_networks += 1
    expect(good == set(range(1, len(good) + 1)) and good, "a good frame was not answered")
    expect(count is None or len(good) == count, f"{len(good)} of {count} frames answered")
    expect(len(bad_frames) == 2 * (len(good) // 10), f"{len(bad_frames)} bad frames were refused")
    expect(bad_networks == len(good) // 10, f"{bad_networks} bad networks were refused")
    print(f"{packets} packets, {len(good) - packets} dropped, {len(bad_frames) + bad_networks} bad requests refused")
    return len(good)


def check_packet(packet):
    expect(packet.compressed_bytes == len(packet.data), "a packet's length is not what it says")
    expect(packet.original_bytes > 0 and packet.ssim > 0, f"frame {packet.frame_number} was not measured")
    if packet.codec == pb.CODEC_H264:
        expect(packet.data.startswith(b"\0\0\0\1"), "an H.264 packet without a start code")
        expect(packet.keyframe == packet.codec_string.startswith("avc1."), "a keyframe's codec string")
    if packet.codec == pb.CODEC_JPEG:
        picture = Image.open(io.BytesIO(packet.data))
        picture.load()
        expect(picture.size == (packet.width, packet.height), f"a JPEG of {picture.size}")
