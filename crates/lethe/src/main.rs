//! The `lethe` command. Everything it does is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    lethe::command_line::run(std::env::args_os())
}
