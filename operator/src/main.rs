//! Parse, run; everything else is in the library.

use clap::Parser as _;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    operator::run::main(operator::args::Args::parse()).await
}
