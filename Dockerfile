# Copy Manager without the simulator.
#
#   docker build --tag copy-manager .
#   docker buildx build --platform linux/amd64,linux/arm64 …    # two builders, each of its own platform: see below
#
# The daemon is process 1 and gets SIGTERM itself; it drains by itself, so no init and no shell are needed.
#
# Every stage runs on the platform that it builds for. Crossing would be faster where one builder has to do both, but
# three libraries in C (aws-lc, SQLite, jemalloc) would each need a second toolchain, and their tests of the machine
# would tell of the wrong one. The release workflow gives each platform a builder of its own.
#
# The digests are of indices for several platforms. They were taken from what is public of other projects' files, in
# autumn 2026, where no registry could be asked: a digest that is not what its name says cannot be pulled under that
# name, so all that can be wrong with them is their age. Dependabot brings newer ones (.github/dependabot.yml).
#
# The build is a Debian older than that of the image: what needs an older glibc runs on a newer one, and the binary of
# a release runs on more machines.
ARG RUST=docker.io/library/rust:1.95-bookworm@sha256:6258907abe69656e41cd992e0b705cdcfabcbbe3db374f92ed2d47121282d4a1
ARG RUNTIME=gcr.io/distroless/cc-debian13:nonroot@sha256:e792ab3d241a468a4fd7519ddbbebe66b49b5f365771716ea688ad40b6c6f1c2
# `canvas` is among them: deploy/service.yaml starts replicas with this image, and an image of its own for them would be
# a second one to build, scan and keep up to date. `docs`, `simulator` and `sso` are not:
# nobody needs them in a task of ECS.
ARG FEATURES=aws,canvas,jemalloc

FROM ${RUST} AS base
WORKDIR /build
# What the dependencies follow from, in a layer that lives as long as these do.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
RUN mkdir src && touch src/lib.rs && echo 'fn main() {}' > src/main.rs

# What the binary is made of: a list for scanners, and the licences, which want to be told with it.
FROM base AS papers
ARG FEATURES
RUN cargo install --locked --debug cargo-about@0.9.3 cargo-cyclonedx@0.5.9
COPY .ci/about.toml .ci/about.hbs .ci/papers .ci/
RUN .ci/papers "${FEATURES}" /papers

FROM base AS build
ARG FEATURES
RUN cargo build --release --locked --no-default-features --features "${FEATURES}" && rm -r src
COPY . .
# Cargo goes by modification times, and those of the stand-ins are newer than those of the sources.
RUN touch src/lib.rs src/main.rs \
    && cargo build --release --locked --no-default-features --features "${FEATURES}"

# `docker build --target binary --output .` gives the binary and its papers.
FROM scratch AS binary
COPY --from=build /build/target/release/copy-manager /
COPY --from=papers /papers /

FROM ${RUNTIME}
COPY --from=papers /papers LICENSE /usr/share/doc/copy-manager/
COPY --from=build /build/target/release/copy-manager /usr/local/bin/copy-manager
USER 65532:65532
WORKDIR /tmp
# For those who run it without an orchestrator: ECS looks at the task definition alone.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["/usr/local/bin/copy-manager", "healthcheck", "--live"]
ENTRYPOINT ["/usr/local/bin/copy-manager", "serve"]
