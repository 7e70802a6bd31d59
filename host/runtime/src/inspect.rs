//! What a component says of itself, read without compiling it.

use std::sync::Arc;

use serde::Serialize;
use wasmparser::{Parser, Payload};

use crate::{Artifact, Capability, check};

/// What a component is, as far as its outermost sections say.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// Bytes of the component.
    pub size: u64,
    /// The `wasi:http` version of its handler, `0.2` or `0.3`; none if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<&'static str>,
    /// What it imports.
    pub imports: Vec<Import>,
    /// What it exports, with versions.
    pub exports: Vec<String>,
}

/// An import and who provides it.
#[derive(Debug, Clone, Serialize)]
pub struct Import {
    /// Its name, with version.
    pub name: String,
    /// Who provides it.
    #[serde(flatten)]
    pub provider: Provider,
}

/// Who provides an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "provider", rename_all = "lowercase")]
pub enum Provider {
    /// The host, to every plugin, as a part of WASI.
    Wasi,
    /// The host, to every plugin.
    Host,
    /// The host, to a plugin with this grant.
    Grant {
        /// The key in `grants`.
        grant: &'static str,
        /// A value of it, as TOML.
        example: &'static str,
    },
    /// Another plugin that exports it, to one with the grant `plugins`. Types alone need
    /// nobody.
    Plugin,
}

/// Reads a component.
///
/// # Errors
/// A text for people.
pub(crate) fn inspect(
    artifact: &Artifact,
    capabilities: &[Arc<dyn Capability>],
) -> Result<Inspection, String> {
    check::file(artifact.head())?;
    let bytes = artifact.bytes().map_err(|error| error.to_string())?;
    let damaged = |error| format!("the component is damaged: {error}");
    let mut imports = Vec::new();
    let mut exports = Vec::new();
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload.map_err(damaged)? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    let name = import.map_err(damaged)?.name.name.to_owned();
                    let provider = provider(check::base(&name), capabilities);
                    imports.push(Import { name, provider });
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    exports.push(export.map_err(damaged)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(Inspection {
        digest: artifact.digest().to_owned(),
        size: artifact.size(),
        http: check::http(&exports),
        imports,
        exports,
    })
}

fn provider(name: &str, capabilities: &[Arc<dyn Capability>]) -> Provider {
    let found = capabilities
        .iter()
        .find(|capability| capability.interfaces().contains(&name));
    match found {
        Some(capability) if capability.needs_grant() => Provider::Grant {
            grant: capability.name(),
            example: capability.example(),
        },
        Some(_) => Provider::Host,
        None if check::is_wasi(name) => Provider::Wasi,
        None => Provider::Plugin,
    }
}
