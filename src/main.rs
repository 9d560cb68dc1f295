//! The sidecar's binary: everything is in the library.

/// What a send takes on one thread is given back on others: glibc's allocator does that slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    waha_watchdog::cli::main()
}
