//! `lakehouse check`: the configuration and every plugin, without serving.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::Context;

use crate::config::Config;
use crate::host::Host;
use crate::roster::{Entry, Roster, State};

/// Loads every plugin and prints how it went. True if all of them would serve.
///
/// # Errors
/// If the host cannot be set up, or the table cannot be printed.
pub async fn check(config: Config) -> anyhow::Result<bool> {
    let temporary = std::env::temp_dir().join(format!("lakehouse-check-{}", std::process::id()));
    let result = look(config, &temporary).await;
    // A folder of ours that holds nothing of worth.
    let _ = std::fs::remove_dir_all(&temporary);
    result
}

async fn look(config: Config, temporary: &std::path::Path) -> anyhow::Result<bool> {
    std::fs::create_dir_all(temporary)
        .with_context(|| format!("cannot make the folder {}", temporary.display()))?;
    let host = Arc::new(Host::open_for_check(config, temporary)?);
    host.load().await;
    print(&host.roster).context("cannot print")?;
    host.runtime.shutdown().await;
    Ok(host.roster.iter().all(|entry| !is_wrong(entry)))
}

/// A plugin that is merely configured may be absent.
fn is_wrong(entry: &Entry) -> bool {
    match entry.state() {
        State::Serving => false,
        State::Absent(_) => entry.required,
        State::Loading | State::Failed(_) => true,
    }
}

fn print(roster: &Roster) -> io::Result<()> {
    let rows: Vec<[String; 4]> = roster
        .iter()
        .map(|entry| {
            let state = entry.state();
            [
                entry.name.clone(),
                entry.route.clone().unwrap_or_else(|| "-".into()),
                state.word().to_owned(),
                state.reason().unwrap_or_default().to_owned(),
            ]
        })
        .collect();
    let heads = ["PLUGIN", "ROUTE", "STATE", "REASON"].map(String::from);
    let width = |column: usize| {
        let cells = rows.iter().chain([&heads]).map(|row| row[column].len());
        cells.max().unwrap_or_default()
    };
    let (name, route, state) = (width(0), width(1), width(2));
    let mut out = io::stdout().lock();
    for row in [&heads].into_iter().chain(&rows) {
        let line = format!(
            "{:name$}  {:route$}  {:state$}  {}",
            row[0], row[1], row[2], row[3]
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
