//! A shorter way for functions of bytes.
//!
//! A value whose type is known only at run time takes some 32 bytes and a branch for
//! each element of a list. Functions that pass bytes and strings alone, in the common
//! signatures below, are connected with types known here instead: their bytes are
//! copied as a block.

use wasmtime::component::types::{ComponentFunc, Type};
use wasmtime::component::{ComponentNamedList, Lift, LinkerInstance, Lower};

use super::wire::Wire;
use crate::state::State;

/// Connects a function if its signature is one of these; says whether it was.
pub(crate) fn connect(
    target: &mut LinkerInstance<'_, State>,
    name: &str,
    ty: &ComponentFunc,
    wire: &Wire,
) -> wasmtime::Result<bool> {
    let mut any = Attempt {
        target,
        name,
        ty,
        wire,
    };
    Ok(any.params::<(Vec<u8>,)>()?
        || any.params::<(String, Vec<u8>)>()?
        || any.params::<(Vec<u8>, Vec<u8>)>()?
        || any.params::<(String, Vec<u8>, Vec<u8>)>()?
        || any.bytes_only::<()>()?
        || any.bytes_only::<(String,)>()?)
}

struct Attempt<'a, 'b> {
    target: &'a mut LinkerInstance<'b, State>,
    name: &'a str,
    ty: &'a ComponentFunc,
    wire: &'a Wire,
}

impl Attempt<'_, '_> {
    /// These parameters and any result.
    fn params<P: Params>(&mut self) -> wasmtime::Result<bool> {
        Ok(self.bytes_only::<P>()?
            || self.signature::<P, String>()?
            || self.signature::<P, Result<String, String>>()?
            || self.signature::<P, Result<(), String>>()?)
    }

    /// These parameters and bytes as the result.
    fn bytes_only<P: Params>(&mut self) -> wasmtime::Result<bool> {
        Ok(self.signature::<P, Vec<u8>>()? || self.signature::<P, Result<Vec<u8>, String>>()?)
    }

    fn signature<P: Params, R: Returned>(&mut self) -> wasmtime::Result<bool> {
        let params: Vec<Type> = self.ty.params().map(|(_, ty)| ty).collect();
        let results: Vec<Type> = self.ty.results().collect();
        let fits = P::are(&params) && matches!(&*results, [result] if R::is(result));
        if fits {
            let wire = self.wire.clone();
            self.target
                .func_wrap_async(self.name, move |store, params: P| {
                    let wire = wire.clone();
                    Box::new(async move { wire.call_typed::<P, R>(store, params).await })
                })?;
        }
        Ok(fits)
    }
}

/// A type known here.
pub(crate) trait Shape {
    /// Whether it is this one.
    fn is(ty: &Type) -> bool;
}

impl Shape for String {
    fn is(ty: &Type) -> bool {
        *ty == Type::String
    }
}

impl Shape for Vec<u8> {
    fn is(ty: &Type) -> bool {
        matches!(ty, Type::List(list) if list.ty() == Type::U8)
    }
}

/// Parameters known here.
pub(crate) trait Params: ComponentNamedList + Lift + Lower + Send + Sync + 'static {
    fn are(types: &[Type]) -> bool;
}

impl Params for () {
    fn are(types: &[Type]) -> bool {
        types.is_empty()
    }
}

impl<A> Params for (A,)
where
    A: Shape + Lift + Lower + Send + Sync + 'static,
{
    fn are(types: &[Type]) -> bool {
        matches!(types, [a] if A::is(a))
    }
}

impl<A, B> Params for (A, B)
where
    A: Shape + Lift + Lower + Send + Sync + 'static,
    B: Shape + Lift + Lower + Send + Sync + 'static,
{
    fn are(types: &[Type]) -> bool {
        matches!(types, [a, b] if A::is(a) && B::is(b))
    }
}

impl<A, B, C> Params for (A, B, C)
where
    A: Shape + Lift + Lower + Send + Sync + 'static,
    B: Shape + Lift + Lower + Send + Sync + 'static,
    C: Shape + Lift + Lower + Send + Sync + 'static,
{
    fn are(types: &[Type]) -> bool {
        matches!(types, [a, b, c] if A::is(a) && B::is(b) && C::is(c))
    }
}

/// A result known here.
pub(crate) trait Returned: Lift + Lower + Send + Sync + 'static {
    /// Whether it is this type.
    fn is(ty: &Type) -> bool;

    /// What says that the call failed; none traps the caller.
    fn failed(_text: &str) -> Option<Self> {
        None
    }
}

impl Returned for String {
    fn is(ty: &Type) -> bool {
        <Self as Shape>::is(ty)
    }
}

impl Returned for Vec<u8> {
    fn is(ty: &Type) -> bool {
        <Self as Shape>::is(ty)
    }
}

impl<T> Returned for Result<T, String>
where
    T: Payload + Lift + Lower + Send + Sync + 'static,
{
    fn is(ty: &Type) -> bool {
        matches!(ty, Type::Result(result)
            if T::is(result.ok().as_ref()) && result.err() == Some(Type::String))
    }

    fn failed(text: &str) -> Option<Self> {
        Some(Err(text.to_owned()))
    }
}

/// What a result holds if it went well.
pub(crate) trait Payload {
    fn is(ty: Option<&Type>) -> bool;
}

impl Payload for () {
    fn is(ty: Option<&Type>) -> bool {
        ty.is_none()
    }
}

impl<T: Shape> Payload for T {
    fn is(ty: Option<&Type>) -> bool {
        ty.is_some_and(T::is)
    }
}
