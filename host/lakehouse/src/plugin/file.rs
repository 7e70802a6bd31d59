//! What a component file is and whether it would serve, without a host.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, anyhow};
use bytesize::ByteSize;
use lakehouse_runtime::{Artifact, Code, Import, Inspection, Provider};
use serde_json::json;

use super::remote::stem;
use crate::check::Bench;
use crate::config::Config;

/// Prints what a component imports, exports and wants.
///
/// # Errors
/// If it is no component.
pub async fn inspect(file: &Path, as_json: bool) -> anyhow::Result<()> {
    let artifact = read(file)?;
    let bench = Bench::open(Config::default(), Vec::new())?;
    let inspection = bench
        .host
        .runtime
        .inspect(&artifact)
        .map_err(|reason| anyhow!("{}: {reason}", file.display()))?;
    let mut out = io::stdout().lock();
    if as_json {
        writeln!(out, "{:#}", serde_json::to_value(&inspection)?)?;
    } else {
        for line in lines(file, &inspection) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// Prints whether a component would serve with this configuration. True if it would.
///
/// # Errors
/// If the file cannot be read or the host not be set up.
pub async fn check(
    config: Config,
    file: &Path,
    name: Option<String>,
    as_json: bool,
) -> anyhow::Result<bool> {
    let artifact = read(file)?;
    let name = match name {
        Some(name) => name,
        None => stem(file)?,
    };
    let bench = Bench::open(config, Vec::new())?;
    let host = &bench.host;
    let (route, reason) = match host.roster.claim(&name) {
        Err(reason) => (None, Some(reason)),
        Ok(route) => {
            let prepared = host
                .workshop
                .prepare(&name, 1, file, artifact, Code::Best)
                .await;
            (Some(route), prepared.err().map(|unfit| unfit.to_string()))
        }
    };
    host.runtime.shutdown().await;
    let mut out = io::stdout().lock();
    let serves = reason.is_none();
    if as_json {
        let answer = json!({"name": name, "route": route, "serves": serves, "reason": reason});
        writeln!(out, "{answer:#}")?;
    } else {
        match (&reason, &route) {
            (None, Some(route)) => writeln!(out, "{name} would serve {route}")?,
            (reason, _) => {
                let reason = reason.as_deref().unwrap_or_default();
                writeln!(out, "{name} would not serve: {reason}")?;
            }
        }
    }
    Ok(serves)
}

fn read(file: &Path) -> anyhow::Result<Artifact> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Artifact::new(bytes))
}

fn lines(file: &Path, inspection: &Inspection) -> Vec<String> {
    let size = ByteSize::b(inspection.size).display().iec();
    let mut lines = vec![
        file.display().to_string(),
        format!("  size     {size} ({} bytes)", inspection.size),
        format!("  sha-256  {}", inspection.digest),
        format!(
            "  http     {}",
            inspection.http.unwrap_or("no handler of wasi:http")
        ),
        "imports".to_owned(),
    ];
    lines.extend(inspection.imports.iter().map(|import| {
        let note = match import.provider {
            Provider::Wasi | Provider::Host => "",
            Provider::Grant { .. } => "    needs a grant",
            Provider::Plugin => {
                "    from a plugin that exports it, with the grant `plugins`; types alone need none"
            }
        };
        format!("  {}{note}", import.name)
    }));
    lines.push("exports".to_owned());
    lines.extend(
        inspection
            .exports
            .iter()
            .map(|export| format!("  {export}")),
    );
    let mut grants: Vec<String> = inspection.imports.iter().filter_map(grant).collect();
    grants.dedup();
    if !grants.is_empty() {
        let name = stem(file).unwrap_or_default();
        lines.push("grants that it wants, for lakehouse.toml".to_owned());
        lines.push(format!("  [plugins.{name}.grants]"));
        lines.extend(grants.into_iter().map(|grant| format!("  {grant}")));
    }
    lines
}

fn grant(import: &Import) -> Option<String> {
    match &import.provider {
        Provider::Grant { grant, example } => Some(format!("{grant} = {example}")),
        _ => None,
    }
}
