//! The `self-test` interface: what a plugin exports to be tried out before it serves.

use std::time::{Duration, Instant};

use lakehouse_runtime::{CallContext, CallError, Staged};

use crate::remote::export;

/// The interface, without a version.
const INTERFACE: &str = "lakehouse:plugin/self-test";
const FUNCTION: &str = "run";
/// The id under which what it does is logged.
const ID: &str = "self-test";

/// Has a staged plugin test itself, under its limits and within `longest`. None if it
/// exports no self-test.
///
/// # Errors
/// What the plugin says, or how it failed to say anything.
pub async fn self_test(staged: &Staged, longest: Duration) -> Option<Result<(), String>> {
    let mut exports = staged.status().exports.iter();
    let instance_name = exports.find(|export| {
        let base = export
            .split_once('@')
            .map_or(export.as_str(), |(base, _)| base);
        base == INTERFACE
    })?;
    let context = CallContext {
        deadline: Some(Instant::now() + longest),
        cause: Some(ID.into()),
        ..CallContext::default()
    };
    let called = staged.call(context, async |store, instance| {
        let run = export::<(), Result<(), String>>(store, instance, instance_name, FUNCTION)?;
        let (result,) = run.call_async(store, ()).await?;
        Ok(result)
    });
    Some(match called.await {
        Ok(result) => result,
        Err(CallError::Timeout(_)) => Err(format!("it takes longer than {longest:?}")),
        Err(error) => Err(error.to_string()),
    })
}
