//! What a plugin exports to others.

use std::collections::HashMap;

use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, ComponentExportIndex};

/// The interfaces that a component exports, by [`key`].
#[derive(Default)]
pub(crate) struct Exports(HashMap<String, Interface>);

/// One of them.
pub(crate) struct Interface {
    /// Its name, with the version it is exported in.
    pub(crate) name: String,
    functions: HashMap<String, Function>,
}

/// A function of it.
pub(crate) struct Function {
    /// Where it is in the component.
    pub(crate) index: ComponentExportIndex,
    pub(crate) ty: ComponentFunc,
}

impl Exports {
    pub(crate) fn of(component: &Component) -> Self {
        let engine = component.engine();
        let ty = component.component_type();
        let interfaces = ty.exports(engine).filter_map(|(name, export)| {
            let ComponentItem::ComponentInstance(instance) = export.ty else {
                return None;
            };
            let at = component.get_export_index(None, name)?;
            let functions = instance.exports(engine).filter_map(|(function, _)| {
                match component.get_export(Some(&at), function)? {
                    (ComponentItem::ComponentFunc(ty), index) => {
                        Some((function.to_owned(), Function { index, ty }))
                    }
                    _ => None,
                }
            });
            let interface = Interface {
                name: name.to_owned(),
                functions: functions.collect(),
            };
            Some((key(name), interface))
        });
        Self(interfaces.collect())
    }

    /// The interface of this key.
    pub(crate) fn interface(&self, key: &str) -> Option<&Interface> {
        self.0.get(key)
    }

    /// All of them.
    pub(crate) fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.0.values()
    }
}

impl Interface {
    pub(crate) fn function(&self, name: &str) -> Option<&Function> {
        self.functions.get(name)
    }
}

/// An interface's name with as much of its version as must be equal for an exporter to
/// serve an importer, by semver: `a:b/c@1`, `a:b/c@0.2`, the whole of any other.
pub(crate) fn key(name: &str) -> String {
    let Some((interface, version)) = name.split_once('@') else {
        return name.to_owned();
    };
    let plain = version.split('+').next().unwrap_or_default();
    let mut numbers = plain.split('.');
    let kept = match (numbers.next(), numbers.next(), numbers.next()) {
        _ if plain.contains('-') => plain.to_owned(),
        (Some("0"), Some("0"), _) => plain.to_owned(),
        (Some("0"), Some(minor), _) => format!("0.{minor}"),
        (Some(major), ..) => major.to_owned(),
        (None, ..) => plain.to_owned(),
    };
    format!("{interface}@{kept}")
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn versions_that_semver_calls_compatible_share_a_key() {
        for (name, expected) in [
            ("a:b/c", "a:b/c"),
            ("a:b/c@1.2.3", "a:b/c@1"),
            ("a:b/c@12.0.0+build.5", "a:b/c@12"),
            ("a:b/c@0.2.1", "a:b/c@0.2"),
            ("a:b/c@0.0.7", "a:b/c@0.0.7"),
            ("a:b/c@1.0.0-rc.1", "a:b/c@1.0.0-rc.1"),
        ] {
            assert_eq!(key(name), expected);
        }
    }
}
