//! placeholder demo

/// placeholder
#[derive(Debug, clap::Args)]
pub struct DemoArgs {}

/// placeholder
pub fn run(_args: &DemoArgs) -> anyhow::Result<()> {
    Ok(())
}
