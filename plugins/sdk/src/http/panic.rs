//! An answer for a request whose handler panics.
//!
//! A panic ends a component there and then: nothing unwinds, and the host answers 502
//! for it. Where a library that decodes a client's bytes panics on what it did not
//! expect, that is the client's fault: the panic hook, which still runs, can say so.

use std::cell::{Cell, RefCell};
use std::panic::{self, PanicHookInfo};
use std::sync::Once;

use wasip2::http::types::ResponseOutparam;

use super::Problem;

type Explain = fn(&str) -> Problem;

thread_local! {
    /// Where the answer under way goes, while there is none yet.
    static OUT: RefCell<Option<ResponseOutparam>> = const { RefCell::new(None) };
    static EXPLAIN: Cell<Option<Explain>> = const { Cell::new(None) };
}

/// Answers a panic of this thread with a problem instead of 502, as long as it lives.
/// The instance ends all the same, and nothing that is alive is dropped.
#[derive(Debug)]
#[must_use = "it takes effect as long as it lives"]
pub struct OnPanic(Option<Explain>);

impl OnPanic {
    /// `explain` makes the problem from the panic's message.
    pub fn answer(explain: Explain) -> Self {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let print = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                print(info);
                answer(info);
            }));
        });
        Self(EXPLAIN.replace(Some(explain)))
    }
}

impl Drop for OnPanic {
    fn drop(&mut self) {
        EXPLAIN.set(self.0);
    }
}

fn answer(info: &PanicHookInfo<'_>) {
    let Some(explain) = EXPLAIN.take() else {
        return;
    };
    let out = OUT.try_with(|out| out.try_borrow_mut().ok()?.take());
    if let Ok(Some(out)) = out {
        let text = info.payload_as_str().unwrap_or_default();
        explain(text).into_response().send(out);
    }
}

/// Notes where the answer of a request goes.
pub(super) fn begin(out: ResponseOutparam) {
    OUT.with_borrow_mut(|slot| *slot = Some(out));
}

/// Takes it back, to answer.
pub(super) fn end() -> Option<ResponseOutparam> {
    OUT.with_borrow_mut(Option::take)
}
