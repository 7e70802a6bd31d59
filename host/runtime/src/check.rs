//! Whether a file is a component that can serve here, and if not, what to do about it.

use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use crate::peer::GRANT;
use crate::{Capability, version};

const MAGIC: &[u8] = b"\0asm";
const CORE: &[u8] = &[0x01, 0x00, 0x00, 0x00];
const COMPONENT: &[u8] = &[0x0d, 0x00, 0x01, 0x00];

/// The packages of WASI that every plugin is linked to.
const WASI: [&str; 8] = [
    "wasi:cli",
    "wasi:clocks",
    "wasi:config",
    "wasi:filesystem",
    "wasi:http",
    "wasi:io",
    "wasi:random",
    "wasi:sockets",
];

/// Tells by its first bytes whether a file can be a component.
///
/// # Errors
/// A text for people.
pub(crate) fn file(bytes: &[u8]) -> Result<(), String> {
    if bytes.is_empty() {
        return Err("the file is empty".to_owned());
    }
    let Some(version) = bytes.strip_prefix(MAGIC) else {
        return Err(if bytes.starts_with(b"\x7fELF") {
            "the file is a native program or library, not a WebAssembly component".to_owned()
        } else if std::str::from_utf8(&bytes[..bytes.len().min(512)])
            .map_or_else(|error| error.valid_up_to() > 500, |_| true)
        {
            "the file is text, not a WebAssembly component".to_owned()
        } else {
            "the file is not WebAssembly: it does not begin with `\\0asm`".to_owned()
        });
    };
    if version.len() < 4 {
        Err(format!("the file is cut off after {} bytes", bytes.len()))
    } else if version.starts_with(CORE) {
        Err(
            "the file is a core WebAssembly module, not a component: build it for \
             wasm32-wasip2, or wrap it with `wasm-tools component new`"
                .to_owned(),
        )
    } else if version.starts_with(COMPONENT) {
        Ok(())
    } else {
        Err(format!(
            "the file is WebAssembly of an encoding this host does not know ({:02x?})",
            &version[..4]
        ))
    }
}

/// Why a component did not compile.
pub(crate) fn compile_error(error: &wasmtime::Error, size: u64) -> String {
    let reason = format!("{error:#}");
    if error.is::<std::io::Error>() {
        format!("the component cannot be read: {reason}")
    } else if reason.contains("unexpected end") {
        format!("the component is cut off: it ends at byte {size} in the middle ({reason})")
    } else {
        format!("the component is damaged or uses what this host does not support: {reason}")
    }
}

/// Imports and exports of a component, with what decides over them.
#[derive(Debug, Default)]
pub(crate) struct Interfaces {
    /// Names with versions.
    pub(crate) imports: Vec<String>,
    /// Those of which something is called.
    needed: Vec<String>,
    /// Names with versions.
    pub(crate) exports: Vec<String>,
    /// Exported interfaces and functions.
    callable: bool,
}

impl Interfaces {
    pub(crate) fn of(component: &Component, engine: &Engine) -> Self {
        let ty = component.component_type();
        let mut this = Self::default();
        for (name, import) in ty.imports(engine) {
            if is_used(&import.ty, engine) {
                this.needed.push(name.to_owned());
            }
            this.imports.push(name.to_owned());
        }
        for (name, export) in ty.exports(engine) {
            this.callable |= is_used(&export.ty, engine);
            this.exports.push(name.to_owned());
        }
        this
    }

    /// The version of its `wasi:http` handler.
    pub(crate) fn http(&self) -> Option<&'static str> {
        http(&self.exports)
    }

    /// The interfaces, with versions, that only another plugin can provide.
    pub(crate) fn foreign(&self, capabilities: &[Arc<dyn Capability>]) -> Vec<&str> {
        let here = |name: &str| {
            is_wasi(name)
                || capabilities
                    .iter()
                    .any(|capability| capability.interfaces().contains(&name))
        };
        let needed = self.needed.iter().map(String::as_str);
        needed.filter(|name| !here(base(name))).collect()
    }

    /// Whether it imports something of a capability.
    pub(crate) fn imports_of(&self, capability: &dyn Capability) -> bool {
        self.imports
            .iter()
            .any(|name| capability.interfaces().contains(&base(name)))
    }

    /// What to add to a failure to connect the imports, if some of them are of a later
    /// version than the host's, which may have added what is missing.
    pub(crate) fn later(&self, capabilities: &[Arc<dyn Capability>]) -> Option<String> {
        let mut versions = self
            .needed
            .iter()
            .filter_map(|import| versions(import, capabilities));
        let (theirs, ours) = versions.find(|(theirs, ours)| version::later(theirs, ours))?;
        let advice = version::advice(theirs, ours);
        Some(format!(
            "the plugin was built against {theirs} and this host has {ours}: {advice}"
        ))
    }

    /// Whether what it imports is granted and provided, and it exports anything.
    ///
    /// # Errors
    /// A text for people that names everything that is missing.
    pub(crate) fn check(
        &self,
        plugin: &str,
        capabilities: &[Arc<dyn Capability>],
        granted: impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        let mut problems = Vec::new();
        for import in &self.needed {
            let name = base(import);
            let provider = capabilities
                .iter()
                .find(|capability| capability.interfaces().contains(&name));
            if let Some(problem) = outdated("imports", import, capabilities) {
                problems.push(problem);
                continue;
            }
            match provider {
                Some(capability) if capability.needs_grant() && !granted(capability.name()) => {
                    problems.push(format!(
                        "imports {name}, which is not granted: add `{} = {}` under \
                         [plugins.{plugin}.grants]",
                        capability.name(),
                        capability.example(),
                    ));
                }
                Some(_) => {}
                None if is_wasi(name) => {}
                None if granted(GRANT) => {}
                None => problems.push(missing(plugin, import, capabilities)),
            }
        }
        for export in &self.exports {
            problems.extend(outdated("exports", export, capabilities));
        }
        if !self.callable {
            problems.push(
                "exports nothing that can be called: an HTTP plugin exports \
                 wasi:http/incoming-handler@0.2.x or wasi:http/handler@0.3.x"
                    .to_owned(),
            );
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems.join("; "))
        }
    }
}

/// The version of the `wasi:http` handler among exports.
pub(crate) fn http(exports: &[String]) -> Option<&'static str> {
    let exports = |prefix: &str| exports.iter().any(|name| name.starts_with(prefix));
    if exports("wasi:http/handler@0.3.") {
        Some("0.3")
    } else if exports("wasi:http/incoming-handler@0.2.") {
        Some("0.2")
    } else {
        None
    }
}

/// What is wrong with the version of an interface, if the host has its package in
/// another one.
fn outdated(verb: &str, interface: &str, capabilities: &[Arc<dyn Capability>]) -> Option<String> {
    let (theirs, ours) = versions(interface, capabilities)?;
    (!version::compatible(theirs, ours)).then(|| {
        let advice = version::advice(theirs, ours);
        format!("{verb} {interface}; this host has {ours}: {advice}")
    })
}

/// Says that nobody provides an import: only another plugin could, unless it is of a later
/// version of what the host has.
fn missing(plugin: &str, import: &str, capabilities: &[Arc<dyn Capability>]) -> String {
    match versions(import, capabilities) {
        Some((theirs, ours)) if version::later(theirs, ours) => {
            let advice = version::advice(theirs, ours);
            format!("imports {import}, which this host with {ours} does not have: {advice}")
        }
        _ => format!(
            "imports {import}, which nothing here provides: to have it from a plugin that \
             exports it, add `{GRANT} = [\"{}\"]` under [plugins.{plugin}.grants]",
            base(import)
        ),
    }
}

/// The version that an interface is of, and that in which the host has its package.
fn versions<'a>(
    interface: &'a str,
    capabilities: &'a [Arc<dyn Capability>],
) -> Option<(&'a str, &'a str)> {
    let theirs = version::of(interface)?;
    let package = package(interface)?;
    let ours = capabilities.iter().find(|capability| {
        let mut interfaces = capability.interfaces().iter();
        interfaces.any(|name| self::package(name) == Some(package))
    })?;
    Some((theirs, ours.version()?))
}

/// An interface's package, `lakehouse:plugin`.
fn package(interface: &str) -> Option<&str> {
    interface.split_once('/').map(|(package, _)| package)
}

/// An interface's name without its version.
pub(crate) fn base(name: &str) -> &str {
    name.split_once('@').map_or(name, |(name, _)| name)
}

pub(crate) fn is_wasi(name: &str) -> bool {
    package(name).is_some_and(|package| WASI.contains(&package))
}

/// Whether an import or export is more than the names of types.
fn is_used(item: &ComponentItem, engine: &Engine) -> bool {
    match item {
        ComponentItem::Type(_) => false,
        ComponentItem::ComponentInstance(instance) => instance
            .exports(engine)
            .any(|(_, export)| is_used(&export.ty, engine)),
        _ => true,
    }
}
