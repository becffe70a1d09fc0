# syntax=docker/dockerfile:1

# Copy Manager without the simulator. Build: docker build -t copy-manager .
# The daemon is process 1 and gets SIGTERM itself; it drains by itself, so no init and no shell are needed.

FROM rust:1.95-bookworm AS build
WORKDIR /build
# aws-lc-sys
RUN apt-get update && apt-get install --yes --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*

# The dependencies, in a layer that lives as long as the lock file.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
RUN mkdir src \
    && echo '' > src/lib.rs \
    && echo 'fn main() {}' > src/main.rs \
    && cargo build --release --locked --no-default-features --features aws,canvas,jemalloc \
    && rm -r src

COPY . .
# Cargo goes by modification times, and those of the stand-ins are newer than those of the sources.
RUN touch src/lib.rs src/main.rs \
    && cargo build --release --locked --no-default-features --features aws,canvas,jemalloc

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /build/target/release/copy-manager /usr/local/bin/copy-manager
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["/usr/local/bin/copy-manager", "serve"]
