//! W3C trace context: <https://www.w3.org/TR/trace-context/>.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The trace, the span that asks, and whether it is recorded.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What vendors add.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// The same as `traceparent`, of the span that answers.
pub const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// Bytes of a `traceparent` of version 00, and the least of any later one.
const LENGTH: usize = 55;

/// A place in a trace: one span of it. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace(Arc<SpanContext>);

impl Trace {
    pub(crate) fn new(context: SpanContext) -> Option<Self> {
        context.is_valid().then(|| Self(Arc::new(context)))
    }

    pub(crate) fn context(&self) -> &SpanContext {
        &self.0
    }

    /// The trace, as 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> impl fmt::Display + use<> {
        self.0.trace_id()
    }

    /// The span, as 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> impl fmt::Display + use<> {
        self.0.span_id()
    }

    /// The value of `traceparent`.
    #[must_use]
    pub fn parent(&self) -> HeaderValue {
        let context = &self.0;
        let sampled = context.trace_flags() & TraceFlags::SAMPLED;
        let text = format!(
            "00-{}-{}-{sampled:02x}",
            context.trace_id(),
            context.span_id()
        );
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }

    /// Makes these the headers of a request that continues the trace from here.
    pub fn inject(&self, headers: &mut HeaderMap) {
        headers.insert(TRACEPARENT, self.parent());
        let state = self.0.trace_state().header();
        match HeaderValue::try_from(state) {
            Ok(state) if !state.is_empty() => headers.insert(TRACESTATE, state),
            _ => headers.remove(TRACESTATE),
        };
    }
}

/// The trace context that a request brings. One that is malformed is taken out of the
/// headers, as if it had not been there.
pub fn extract(headers: &mut HeaderMap) -> Option<Trace> {
    let parent = parent(headers);
    if parent.is_none() {
        // Most requests have neither.
        headers.remove(TRACEPARENT);
        headers.remove(TRACESTATE);
        return None;
    }
    let (trace, span, flags) = parent?;
    let state = state(headers).unwrap_or_else(|| {
        headers.remove(TRACESTATE);
        TraceState::NONE
    });
    Trace::new(SpanContext::new(trace, span, flags, true, state))
}

/// The one `traceparent`, if it is well-formed.
fn parent(headers: &HeaderMap) -> Option<(TraceId, SpanId, TraceFlags)> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (value, None) = (values.next()?.as_bytes(), values.next()) else {
        return None;
    };
    if value.len() < LENGTH || [2, 35, 52].iter().any(|at| value[*at] != b'-') {
        return None;
    }
    match hex(&value[..2])? {
        0xff => return None,
        0 if value.len() > LENGTH => return None,
        // Later versions may add fields, after one more dash.
        _ if value.get(LENGTH).is_some_and(|next| *next != b'-') => return None,
        _ => {}
    }
    let trace = TraceId::from(hex(&value[3..35])?);
    let span = SpanId::from(u64::try_from(hex(&value[36..52])?).ok()?);
    let flags = u8::try_from(hex(&value[53..LENGTH])?).ok()?;
    if trace == TraceId::INVALID || span == SpanId::INVALID {
        return None;
    }
    // Bits that this version does not know are not handed on.
    Some((trace, span, TraceFlags::new(flags) & TraceFlags::SAMPLED))
}

/// Digits in small letters, which is all that the standard takes.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |sum, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(sum << 4 | u128::from(value))
    })
}

/// The list in `tracestate`, which may come in several headers.
fn state(headers: &HeaderMap) -> Option<TraceState> {
    let mut list = String::new();
    for value in headers.get_all(TRACESTATE) {
        list.push_str(value.to_str().ok()?);
        list.push(',');
    }
    list.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(list: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn what_came_goes_on() {
        let mut came = headers(&[
            (TRACEPARENT, GOOD),
            (TRACESTATE, "rojo=00f067aa0ba902b7"),
            (TRACESTATE, " congo=t61rcWkgMzE , "),
        ]);
        let trace = extract(&mut came).unwrap();
        assert_eq!(trace.trace_id().to_string(), &GOOD[3..35]);
        assert_eq!(trace.span_id().to_string(), &GOOD[36..52]);
        let mut goes = HeaderMap::new();
        trace.inject(&mut goes);
        assert_eq!(goes[TRACEPARENT], GOOD);
        assert_eq!(goes[TRACESTATE], "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
    }

    #[test]
    fn later_versions_are_read_as_far_as_they_are_known() {
        for value in [
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes-then",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff",
        ] {
            let trace = extract(&mut headers(&[(TRACEPARENT, value)])).unwrap();
            assert_eq!(trace.parent(), GOOD, "{value}");
        }
    }

    #[test]
    fn a_malformed_parent_is_as_none() {
        for value in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.x",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "0-00af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "+0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-B7AD6B7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
            "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
        ] {
            let mut came = headers(&[(TRACEPARENT, value), (TRACESTATE, "a=b")]);
            assert_eq!(extract(&mut came), None, "{value}");
            assert!(came.is_empty(), "{value}");
        }
        let mut twice = headers(&[(TRACEPARENT, GOOD), (TRACEPARENT, GOOD)]);
        assert_eq!(extract(&mut twice), None);
        assert!(twice.is_empty());
        let mut alone = headers(&[(TRACESTATE, "a=b")]);
        assert_eq!(extract(&mut alone), None);
        assert!(alone.is_empty());
    }

    #[test]
    fn a_malformed_state_costs_the_state_alone() {
        for value in ["nonsense", "A=b", "a=b=c"] {
            let mut came = headers(&[(TRACEPARENT, GOOD), (TRACESTATE, value)]);
            let trace = extract(&mut came).unwrap();
            assert_eq!(trace.parent(), GOOD);
            assert!(!came.contains_key(TRACESTATE), "{value}");
        }
    }
}
