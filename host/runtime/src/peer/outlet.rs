//! How a function says that it could not be called.

use wasmtime::component::Val;
use wasmtime::component::types::{ComponentFunc, Type};

use crate::CallError;

/// Cases of an error variant that can say it, and for what.
const UNAVAILABLE: &str = "unavailable";
const DENIED: &str = "denied";
const INTERNAL: &str = "internal";

/// What a call returns that never got to its function, or in which the plugin called
/// failed.
pub(crate) enum Outlet {
    /// The function returns `result<_, string>`: the error says why.
    Text,
    /// The function returns a result whose error is a variant with these cases, each a
    /// string, like `lakehouse:plugin/types.error`.
    Cases(Vec<&'static str>),
    /// Nothing that could say it: the caller traps.
    Trap,
}

impl Outlet {
    pub(crate) fn of(ty: &ComponentFunc) -> Self {
        let Some(Type::Result(result)) = ty.results().next() else {
            return Self::Trap;
        };
        match result.err() {
            Some(Type::String) => Self::Text,
            Some(Type::Variant(variant)) => {
                let says = |name: &&'static str| {
                    variant
                        .cases()
                        .any(|case| case.name == *name && case.ty == Some(Type::String))
                };
                Self::Cases(
                    [UNAVAILABLE, DENIED, INTERNAL]
                        .into_iter()
                        .filter(says)
                        .collect(),
                )
            }
            _ => Self::Trap,
        }
    }

    /// The failure as the function's result, if it has one for it.
    pub(crate) fn value(&self, error: &CallError, text: &str) -> Option<Val> {
        let text = Val::String(text.to_owned());
        let error = match self {
            Self::Text => text,
            Self::Cases(cases) => {
                let case = case(error);
                cases
                    .contains(&case)
                    .then(|| Val::Variant(case.to_owned(), Some(Box::new(text))))?
            }
            Self::Trap => return None,
        };
        Some(Val::Result(Err(Some(Box::new(error)))))
    }
}

fn case(error: &CallError) -> &'static str {
    match error {
        CallError::NotFound
        | CallError::Unavailable { .. }
        | CallError::Saturated { .. }
        | CallError::Timeout(_) => UNAVAILABLE,
        CallError::Refused(_) => DENIED,
        CallError::Trapped(_) | CallError::TooLong { .. } | CallError::Internal(_) => INTERNAL,
    }
}
