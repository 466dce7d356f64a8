//! Links the binary at a fixed address on Linux. A sweep executes it once per trial, and a position-independent one has some 260
//! pages of pointers adjusted at every start, each a page fault with a copy: a millisecond, half of what a short trial costs.
//! Libraries, stack and heap stay where chance puts them. See `docs/performance.md`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |name: &str| std::env::var(name).unwrap_or_default();
    if target("CARGO_CFG_TARGET_OS") == "linux" && target("CARGO_CFG_TARGET_ENV") == "gnu" {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
}
