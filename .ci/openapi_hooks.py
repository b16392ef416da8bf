"""What schemathesis can't know from the description: pictures, and fields that depend on each other."""

import io

import schemathesis
from hypothesis import strategies as st
from PIL import Image


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
