# docker build -t ms-acld:0.1.0 .
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev libmnl-dev libnftnl-dev pkg-config \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The toolchain of the image, whatever rust-toolchain.toml names.
ENV RUSTUP_TOOLCHAIN=1.95.0
RUN cargo build --release --locked --package ms-acld

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends libmnl0 libnftnl11 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/ms-acld /usr/local/bin/ms-acld
# Root, but the DaemonSet leaves it NET_ADMIN only.
USER 0:0
EXPOSE 18080
ENTRYPOINT ["/usr/local/bin/ms-acld"]
CMD ["run", "--source", "kube"]
