//! `healthcheck`: is a running sidecar ready? For a container's health check, where no curl is at hand.

use serde_json::Value;

use super::source::Api;
use super::{Failure, block_on};
use crate::config::Config;

pub(super) fn run(config: &Config) -> Result<(), Failure> {
    let api = Api::new(config)?;
    match block_on(api.get("/readyz", &[]))?? {
        Some(readiness) if readiness.get("ready") == Some(&Value::Bool(true)) => Ok(()),
        Some(_) => Err(Failure::failed("not ready yet")),
        None => Err(Failure::failed(format!("nothing listens at {} (admin.listen)", config.admin.listen))),
    }
}
