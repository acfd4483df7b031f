.PHONY: demo test laws fuzz lint bench build doc clean

# A small cluster of network namespaces on this machine, the daemon on every node, real packets.
demo:
	@scripts/setup
	@cargo build --release --package ms-acld --package ms-acl-examples --bin ms-acld --bin demo
	@target/release/demo

build:
	@scripts/setup build
	cargo build --release --package ms-acld

# Everything, the kernel included (as root).
test:
	@scripts/setup
	@scripts/check-dependencies
	@scripts/check-semantics
	@scripts/test

# The laws for long: other cases each time, and as root thousands of random worlds on a real kernel.
laws:
	@scripts/setup
	@scripts/laws

# Any bytes as manifests and policy documents, for SECONDS seconds.
SECONDS ?= 600
fuzz:
	@scripts/setup build
	@scripts/fuzz $(SECONDS)

lint:
	@scripts/setup build
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features --document-private-items
	scripts/check-dependencies
	scripts/check-manifests
	scripts/check-semantics
	@if command -v cargo-deny >/dev/null; then cargo deny check; else echo "cargo-deny is not installed: licences and sources not checked"; fi

bench:
	@scripts/setup
	cargo bench --workspace

clean:
	cargo clean
