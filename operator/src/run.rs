//! Wiring.

use crate::args::{Args, Command};

/// What `main` does.
pub async fn main(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Run(_) | Command::Crds | Command::Migrate { .. } => Ok(()),
    }
}
