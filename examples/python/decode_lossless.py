"""Decodes an .alz file (packets of Auralink's lossless codec) with numpy and zstandard alone.

    decode_lossless.py INPUT.alz OUTPUT     OUTPUT: *.pgm or *.ppm takes gray8, gray16 and rgb8 (pictures one after another);
                                            any other name takes raw frames of any format

The format is described in src/codec/lossless/FORMAT.md; the names here are the names there.
"""
import functools, struct, sys
import numpy as np
import zstandard

FORMATS = "rgb8 bgr8 rgba8 bgra8 gray8 gray16 i420 i422 i444 nv12 yuyv uyvy".split()

def plane_sizes(fmt, w, h):
    cw, ch = (w + 1) // 2, (h + 1) // 2
    chroma = {"i420": (ch, cw), "nv12": (ch, cw), "i422": (h, cw), "yuyv": (h, cw), "uyvy": (h, cw)}.get(fmt)
    if chroma:
        return [(h, 2 * cw if fmt in ("yuyv", "uyvy") else w), chroma, chroma]
    return [(h, w)] * {"rgba8": 4, "bgra8": 4, "gray8": 1, "gray16": 1}.get(fmt, 3)

def spatial(residual, known, plane):
    """Undoes median prediction, an anti-diagonal at a time; `known` samples of `plane` stay as they are."""
    (h, w), modulus = plane.shape, np.iinfo(plane.dtype).max
    x = np.zeros((h + 1, w + 1), np.int32)  # a row of zeros above; column 0 is what lies left of the first column
    x[1:, 1:], residual = plane, residual.astype(np.int32)
    for d in range(h + w - 1):
        y = np.arange(max(0, d - w + 1), min(h, d + 1))
        c = d - y
        u = x[y, c + 1]
        left, corner = np.where(c == 0, u, x[y + 1, c]), np.where(c == 0, u, x[y, c])
        p = left + u - np.clip(corner, np.minimum(left, u), np.maximum(left, u))
        x[y + 1, c + 1] = np.where(known[y, c], x[y + 1, c + 1], (p + residual[y, c]) & modulus)
    return x[1:, 1:].astype(plane.dtype)

def decode(packet, last):
    """One packet, and the (checksum, planes) of the one before, to (checksum, planes), the frame's bytes and its header."""
    magic, _, w, h, fmt, flags, rows, checksum, reference, s1, s2, index_bytes = struct.unpack_from("<4sIHHBBHIIhhI", packet)
    assert magic == b"ALZ\1" and (not flags & 1 or last and last[0] == reference), "not a packet, or its reference is missing"
    fmt, unpack, at = FORMATS[fmt], zstandard.ZstdDecompressor().decompress, 32 + index_bytes
    index, th, tw = unpack(packet[32:at]), -(-h // 16), -(-w // 16)
    modes = np.frombuffer(index, np.uint8, th * tw).reshape(th, tw) if flags & 1 else np.zeros((th, tw), np.uint8)
    lengths = iter(np.frombuffer(index, "<u4", offset=th * tw if flags & 1 else 0))
    sizes, dtype = plane_sizes(fmt, w, h), np.uint16 if fmt == "gray16" else np.uint8
    planes, sums = [np.zeros(size, dtype) for size in sizes], []
    for top in range(0, h, rows):
        for number, (plane, (ph, pw)) in enumerate(zip(planes, sizes)):
            dy, dx = ph < h, pw < w
            mode = modes.repeat(16 >> dy, 0).repeat(16 >> dx, 1)[:ph, :pw][top >> dy:(top + rows) >> dy]
            band = plane[top >> dy:(top + rows) >> dy]
            coded, residual, parts = mode < 2, np.zeros(band.shape, dtype), []
            for _ in range(2 if fmt == "gray16" else 1):
                n = int(next(lengths))
                parts.append(np.frombuffer(unpack(packet[at:at + n]) if n else b"", np.uint8).astype(dtype))
                at += n
            z = parts[0] if len(parts) == 1 else parts[0] << 8 | parts[1]
            residual[coded] = z if len(parts) == 1 else z >> 1 ^ -(z & 1)
            for m, scroll in ((1, 0), (2, 0), (3, s1), (4, s2)):
                y, x = np.nonzero(mode == m)
                if len(y):
                    band[y, x] = last[1][number][y + (top >> dy) - (scroll >> dy), x] + residual[y, x]
            band[:] = spatial(residual, mode > 0, band)
        sums.append(band_sum(frame_planes(fmt, planes, top, rows, h)))
    assert fold(sums) == checksum, "checksum"
    return (checksum, planes), b"".join(p.tobytes() for p in frame_planes(fmt, planes, 0, h + 1, h)), (fmt, w, h)

def mix(state, word):
    state = state ^ word
    return ((state << 13 | state >> 19) & 0xFFFFFFFF) * 2654435761 & 0xFFFFFFFF

def fold(words):
    return functools.reduce(mix, map(int, words), 0)

def band_sum(planes):
    lanes = np.arange(16, dtype=np.uint64)
    for plane in planes:
        rows = plane.reshape(len(plane), -1).view(np.uint8)
        for words in np.pad(rows, ((0, 0), (0, -rows.shape[1] % 64))).view("<u4").astype(np.uint64).reshape(-1, 16):
            lanes = mix(lanes, words)
    return fold(lanes)

def frame_planes(fmt, planes, top, rows, h):
    """Rows of the frame's own planes."""
    p = [q[top >> (len(q) != h):(top + rows) >> (len(q) != h)] for q in planes]
    if fmt[:3] in ("rgb", "bgr"):
        green = p[0].astype(int)
        red = p[1] + green - 128 & 255
        blue = p[2] + (red + green >> 1) - 128 & 255
        return [np.stack([red, green, blue][::1 if fmt[0] == "r" else -1] + p[3:], 2).astype(np.uint8)]
    if fmt == "nv12":
        return [p[0], np.stack(p[1:], 2)]
    if fmt in ("yuyv", "uyvy"):
        y = [p[0][:, ::2], p[0][:, 1::2]]
        return [np.stack([y[0], p[1], y[1], p[2]] if fmt == "yuyv" else [p[1], y[0], p[2], y[1]], 2)]
    return p

def main():
    data, at, last = open(sys.argv[1], "rb").read(), 0, None
    with open(sys.argv[2], "wb") as out:
        while at < len(data):
            size = struct.unpack_from("<I", data, at + 4)[0]
            last, pixels, (fmt, w, h) = decode(data[at:at + size], last)
            at += size
            if sys.argv[2].endswith((".pgm", ".ppm")):
                kind, top = {"gray8": (5, 255), "gray16": (5, 65535), "rgb8": (6, 255)}[fmt]
                out.write(b"P%d\n%d %d\n%d\n" % (kind, w, h, top))
                pixels = np.frombuffer(pixels, "<u2").byteswap().tobytes() if fmt == "gray16" else pixels
            out.write(pixels)

if __name__ == "__main__":
    main()
