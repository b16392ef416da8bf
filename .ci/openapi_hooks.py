"""What the description can't say: pictures, and fields that depend on each other or on the picture."""

import datetime
import io

import schemathesis
from hypothesis import strategies as st
from PIL import Image

# More than any of the pictures below takes at any size.
ENOUGH_BYTES = 1 << 20


def picture(kind):
    @st.composite
    def draw(choose):
        width, height = choose(st.integers(160, 320)), choose(st.integers(90, 200))
        colour = tuple(choose(st.integers(0, 255)) for _ in range(3))
        file = io.BytesIO()
        Image.new("RGB", (width, height), colour).save(file, kind)
        return file.getvalue()

    return draw()


for kind in ("PNG", "JPEG", "WEBP"):
    schemathesis.openapi.media_type(f"image/{kind.lower()}", picture(kind))


def whole(value):
    try:
        return int(str(value))
    except ValueError:
        return None


def date(value):
    try:
        return datetime.date.fromisoformat(str(value))
    except ValueError:
        return None


@schemathesis.hook
def before_call(context, case, kwargs):
    """Makes fields fit each other. A value that is wrong by itself stays wrong."""
    query = case.query
    if query and case.operation.path == "/v1/compress":
        budget = whole(query.get("max_bytes"))
        if budget and 1 <= budget < ENOUGH_BYTES:
            query["max_bytes"] = ENOUGH_BYTES
        if budget and query.get("codec") == "lossless":
            del query["max_bytes"]
    if query and case.operation.path == "/v1/usage":
        first, last = date(query.get("from")), date(query.get("to"))
        if first and ("to" not in query or last):
            # At most 3660 days, and none of them backwards.
            query["to"] = first.isoformat()
