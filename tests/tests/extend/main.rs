//! Plugins that extend others: calls between plugins.

mod calls;
