//! `completions` and `man`: what a shell and a reader of manuals want, made out of the command line itself.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::output::print;
use super::{Cli, Failure};

/// For which shell.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Of which command.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// A command, such as `failed list`; the whole where none is said.
    command: Vec<String>,
}

pub(super) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "waha-watchdog", &mut script);
    print(&String::from_utf8_lossy(&script))
}

pub(super) fn man(args: &ManArgs) -> Result<(), Failure> {
    let mut command = Cli::command().flatten_help(false);
    command.build();
    for word in &args.command {
        let inside = command.find_subcommand(word).cloned();
        command = inside
            .ok_or_else(|| Failure::usage(format!("there is no command `{}`", args.command.join(" "))))?;
    }
    let mut page = Vec::new();
    Man::new(command).render(&mut page).map_err(Failure::failed)?;
    print(&String::from_utf8_lossy(&page))
}
