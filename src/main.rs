//! The sidecar's binary: everything is in the library.

fn main() -> std::process::ExitCode {
    waha_watchdog::cli::main()
}
