# syntax=docker/dockerfile:1
# auralink serve in a small image: built with the stable toolchain, run as nobody in particular.

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked && cp target/release/auralink /auralink

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin auralink
COPY --from=build /auralink /usr/local/bin/auralink
USER 10001:10001
EXPOSE 50051 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["auralink", "probe", "--http", "http://127.0.0.1:8080"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["auralink"]
# Nobody reaches a container's loopback. Callers aren't authenticated without a file of keys (AURALINK_AUTH_KEYS_FILE, see
# docs/access.md), so publish the ports to those who may call, and no further:
# docker run --publish 127.0.0.1:50051:50051 --publish 127.0.0.1:8080:8080 auralink
CMD ["serve", "--bind", "0.0.0.0", "--insecure", "--log", "json"]
