//! Plugins that call plugins.
//!
//! An import that neither the host nor WASI provides comes from whichever plugin
//! exports that interface. It is looked up at each call, so all see at once that it was
//! swapped, came or went; that there is none fails the call and not the load, since
//! plugins may come in any order.
//!
//! What a call costs beside the work of the plugin called: a look-up, a warm instance,
//! and every value once out of the one component and once into the other. Values are
//! typed at run time, which is cheap but for long lists: those of bytes have a way of
//! their own, see [`typed`].

mod exports;
mod grant;
mod outlet;
mod typed;
mod wire;

use std::sync::{Arc, Weak};

use wasmtime::component::types::{ComponentItem, Type};
use wasmtime::component::{Component, Linker};

pub(crate) use exports::{Exports, key};
pub(crate) use grant::{GRANT, Grant};

use crate::runtime::Inner;
use crate::state::State;
use wire::Wire;

/// Connects the interfaces of these names, each an import of the component, to the
/// plugins that will export them.
///
/// # Errors
/// A text for people, if an interface has what cannot pass from plugin to plugin.
pub(crate) fn link(
    linker: &mut Linker<State>,
    component: &Component,
    runtime: &Weak<Inner>,
    grant: Grant,
    interfaces: &[&str],
) -> Result<(), String> {
    let engine = component.engine();
    let ty = component.component_type();
    let grant = Arc::new(grant);
    for (name, import) in ty.imports(engine) {
        if !interfaces.contains(&name) {
            continue;
        }
        let ComponentItem::ComponentInstance(instance) = import.ty else {
            return Err(format!(
                "imports {name}, which is no interface: another plugin cannot provide it"
            ));
        };
        let mut target = linker
            .instance(name)
            .map_err(|error| format!("cannot link {name}: {error:#}"))?;
        for (function, item) in instance.exports(engine) {
            let refuse =
                |what: &str| format!("imports {name}, which another plugin cannot provide: {what}");
            let ty = match item.ty {
                ComponentItem::ComponentFunc(ty) => ty,
                ComponentItem::Type(_) => continue,
                ComponentItem::Resource(_) => {
                    return Err(refuse(&format!("`{function}` is a resource")));
                }
                _ => {
                    return Err(refuse(&format!(
                        "`{function}` is neither function nor type"
                    )));
                }
            };
            if ty.async_() {
                return Err(refuse(&format!("`{function}` is async")));
            }
            let values = ty.params().map(|(_, ty)| ty).chain(ty.results());
            let unfit = { values }.find_map(|ty| bound_to_instance(&ty));
            if let Some(what) = unfit {
                return Err(refuse(&format!("`{function}` passes {what}")));
            }
            let wire = Wire::new(Weak::clone(runtime), name, function, ty, Arc::clone(&grant));
            wire.connect(&mut target, function)
                .map_err(|error| format!("cannot link {name}: {error:#}"))?;
        }
    }
    Ok(())
}

/// What in a type means nothing outside of the instance it comes from.
fn bound_to_instance(ty: &Type) -> Option<&'static str> {
    match ty {
        Type::Own(_) | Type::Borrow(_) => Some("a resource"),
        Type::Future(_) => Some("a future"),
        Type::Stream(_) => Some("a stream"),
        Type::ErrorContext => Some("an error context"),
        Type::List(list) => bound_to_instance(&list.ty()),
        Type::FixedLengthList(list) => bound_to_instance(&list.ty()),
        Type::Map(map) => bound_to_instance(&map.key()).or_else(|| bound_to_instance(&map.value())),
        Type::Option(option) => bound_to_instance(&option.ty()),
        Type::Record(record) => record
            .fields()
            .find_map(|field| bound_to_instance(&field.ty)),
        Type::Tuple(tuple) => tuple.types().find_map(|ty| bound_to_instance(&ty)),
        Type::Variant(variant) => variant
            .cases()
            .find_map(|case| bound_to_instance(&case.ty?)),
        Type::Result(result) => [result.ok(), result.err()]
            .into_iter()
            .flatten()
            .find_map(|ty| bound_to_instance(&ty)),
        _ => None,
    }
}
