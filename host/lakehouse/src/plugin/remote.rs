//! What is asked of a running host, and how the answer looks.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::client::Client;
use super::{Command, Remote};
use crate::config::{NAME_RULE, is_plugin_name};
use crate::table;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// Carries out a command on a host.
///
/// # Errors
/// If the host cannot be asked, or says no.
pub async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(remote) => {
            let answer = ask(&remote, Method::GET, "").await?;
            show(&remote, &answer, |answer| plugins(&answer["plugins"]))
        }
        Command::Deploy { file, name, remote } => {
            let name = match name {
                Some(name) => name,
                None => stem(&file)?,
            };
            let answer = deploy(&remote, &name, &file).await?;
            show(&remote, &answer, serves)
        }
        Command::Rollback {
            name,
            generation,
            digest,
            remote,
        } => {
            let wanted = match (generation, digest) {
                (Some(generation), _) => json!({"generation": generation}),
                (None, Some(digest)) => json!({"digest": digest}),
                (None, None) => json!({}),
            };
            let path = path(&name, "/rollback")?;
            let media = HeaderValue::from_static("application/json");
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, media)]);
            let body = Bytes::from(wanted.to_string());
            let client = Client::new(&remote)?;
            let answer = client.call(Method::POST, &path, headers, body).await?;
            show(&remote, &answer, serves)
        }
        Command::Reload { name, remote } => {
            let answer = ask(&remote, Method::POST, &path(&name, "/reload")?).await?;
            show(&remote, &answer, serves)
        }
        Command::Remove { name, remote } => {
            let answer = ask(&remote, Method::DELETE, &path(&name, "")?).await?;
            show(&remote, &answer, |_| vec![format!("{name} is removed")])
        }
        Command::Generations { name, remote } => {
            let answer = ask(&remote, Method::GET, &path(&name, "/generations")?).await?;
            show(&remote, &answer, |answer| {
                generations(&answer["generations"])
            })
        }
        Command::New { .. } | Command::Inspect { .. } | Command::Check { .. } => {
            bail!("no host is asked for this")
        }
    }
}

async fn ask(remote: &Remote, method: Method, path: &str) -> anyhow::Result<Value> {
    let path = if path.is_empty() { "/v1/plugins" } else { path };
    let client = Client::new(remote)?;
    client
        .call(method, path, HeaderMap::new(), Bytes::new())
        .await
}

async fn deploy(remote: &Remote, name: &str, file: &Path) -> anyhow::Result<Value> {
    let path = path(name, "")?;
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let digest = BASE64_STANDARD.encode(Sha256::digest(&bytes));
    let headers = HeaderMap::from_iter([
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/wasm"),
        ),
        (
            CONTENT_DIGEST,
            HeaderValue::try_from(format!("sha-256=:{digest}:"))?,
        ),
    ]);
    let client = Client::new(remote)?;
    client.call(Method::PUT, &path, headers, bytes.into()).await
}

fn path(name: &str, rest: &str) -> anyhow::Result<String> {
    if !is_plugin_name(name) {
        bail!("`{name}` cannot be a plugin: {NAME_RULE}");
    }
    Ok(format!("/v1/plugins/{name}{rest}"))
}

/// The name of the plugin that a file is.
///
/// # Errors
/// If it has none.
pub fn stem(file: &Path) -> anyhow::Result<String> {
    match file.file_stem() {
        Some(stem) => Ok(stem.to_string_lossy().into_owned()),
        None => bail!("{} is no file", file.display()),
    }
}

/// Prints an answer, as JSON or as lines.
fn show(
    remote: &Remote,
    answer: &Value,
    lines: impl FnOnce(&Value) -> Vec<String>,
) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if remote.json {
        if !answer.is_null() {
            writeln!(out, "{answer:#}")?;
        }
    } else {
        for line in lines(answer) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

fn serves(plugin: &Value) -> Vec<String> {
    vec![format!(
        "{} serves {} with generation {} ({})",
        text(&plugin["name"]),
        text(&plugin["route"]),
        plugin["generation"],
        short(&plugin["digest"]),
    )]
}

fn plugins(plugins: &Value) -> Vec<String> {
    let rows = plugins.as_array().into_iter().flatten().map(|plugin| {
        let failed = &plugin["last_attempt"];
        // What serves and was not to be replaced says why.
        let reason = match plugin["reason"].as_str() {
            None if failed["outcome"] == "failed" => {
                format!("last deploy failed: {}", text(&failed["reason"]))
            }
            reason => reason.unwrap_or_default().to_owned(),
        };
        vec![
            text(&plugin["name"]).to_owned(),
            text(&plugin["route"]).to_owned(),
            text(&plugin["state"]).to_owned(),
            plugin["generation"]
                .as_u64()
                .map_or("-".into(), |number| number.to_string()),
            short(&plugin["digest"]),
            text(&plugin["source"]).to_owned(),
            text(&plugin["deployed_at"]).to_owned(),
            reason,
        ]
    });
    let heads = [
        "PLUGIN",
        "ROUTE",
        "STATE",
        "GENERATION",
        "DIGEST",
        "SOURCE",
        "SINCE",
        "REASON",
    ];
    table::lines(&heads, rows)
}

fn generations(generations: &Value) -> Vec<String> {
    let rows = generations
        .as_array()
        .into_iter()
        .flatten()
        .map(|generation| {
            vec![
                generation["generation"].to_string(),
                short(&generation["digest"]),
                generation["size"].to_string(),
                text(&generation["source"]).to_owned(),
                text(&generation["at"]).to_owned(),
                text(&generation["outcome"]).to_owned(),
                generation["reason"].as_str().unwrap_or_default().to_owned(),
            ]
        });
    let heads = [
        "GENERATION",
        "DIGEST",
        "BYTES",
        "SOURCE",
        "SINCE",
        "OUTCOME",
        "REASON",
    ];
    table::lines(&heads, rows)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

/// As much of a digest as people compare.
fn short(digest: &Value) -> String {
    match digest.as_str() {
        Some(digest) if !digest.is_empty() => digest.chars().take(12).collect(),
        _ => "-".to_owned(),
    }
}
