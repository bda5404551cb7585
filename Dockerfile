# The image a platform runs: a shell, the binary, and nothing else.
#
#   docker build -t source-100ms:dev .
#   docker buildx build --platform linux/amd64,linux/arm64 -t source-100ms:dev .     (arm64 is untested)
#
# Without a registry, put a binary that is already built into a base that is already here:
#
#   docker build -f Dockerfile --target prebuilt --build-arg BASE_IMAGE=… <folder with source-100ms>
#
# The older builder runs the stages from the top down to its target, so `prebuilt` comes before
# the stage that needs the Rust image.

# The platform starts connectors through `sh`, so the base needs one, with `sleep` and `mv`. A release names both
# images by their digests (`release --help`).
ARG BASE_IMAGE=busybox:1.37.0-musl
ARG RUST_IMAGE=rust:1.95.0-bookworm

FROM ${BASE_IMAGE} AS runtime
# Written by hand because not every busybox has `adduser`. The program's own folder belongs to root. The others are
# the ones the Python connectors own; platforms and test suites mount over them and write there as this user.
RUN echo 'airbyte:x:1000:' >> /etc/group \
 && echo 'airbyte:x:1000:1000::/airbyte:/bin/sh' >> /etc/passwd \
 && mkdir -p /airbyte /config /secrets /source /tmp \
 && chown 1000:1000 /config /secrets /source /tmp \
 && chmod 1777 /tmp
WORKDIR /airbyte
# The platform runs this variable through `eval`, so it must say what ENTRYPOINT says.
ENV AIRBYTE_ENTRYPOINT="/airbyte/source-100ms"
ENTRYPOINT ["/airbyte/source-100ms"]
LABEL io.airbyte.name=registry.example.com/source-100ms
LABEL io.airbyte.version=0.2.0
# The commit, and where its source is published; a build without them has no value there.
ARG SOURCE_COMMIT
ARG SOURCE_URL
LABEL org.opencontainers.image.version=0.2.0
LABEL org.opencontainers.image.revision=${SOURCE_COMMIT}
LABEL org.opencontainers.image.source=${SOURCE_URL}
LABEL org.opencontainers.image.licenses=MIT
# A number, because Kubernetes cannot tell from a name that it is not root.
USER 1000

FROM runtime AS prebuilt
COPY source-100ms /airbyte/source-100ms

FROM ${RUST_IMAGE} AS build
WORKDIR /build
COPY . .
# What `--version` says: the history is not sent to the builder. Both may be left out.
ARG SOURCE_COMMIT
ARG SOURCE_DATE_EPOCH
ENV SOURCE_COMMIT=${SOURCE_COMMIT} SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH}
# Linked statically, because the base has another C library or none. Naming the target, even when
# it is the machine's own, keeps the flag away from build scripts and procedural macros.
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
 && RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --locked --target "$target" \
 && cp "target/$target/release/source-100ms" /source-100ms

FROM runtime
COPY --from=build /source-100ms /airbyte/source-100ms
