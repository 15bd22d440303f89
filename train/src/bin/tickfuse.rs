//! The `tickfuse` program; everything it does is in `tickfuse_train::cli`.

fn main() -> std::process::ExitCode {
    tickfuse_train::cli::main()
}
