//! Bindings of the catalog as seen by the plugin that serves it; below, those of other
//! interfaces that plugins export.

#[cfg(feature = "arrow")]
pub mod format;
#[cfg(feature = "arrow")]
pub mod functions;
pub mod self_test;

wit_bindgen::generate!({
    path: "../../wit",
    world: "lakehouse:plugin/catalog-export",
    with: {
        "lakehouse:plugin/types@0.1.0": crate::bindings::lakehouse::plugin::types,
    },
    generate_unused_types: true,
    additional_derives: [PartialEq],
    pub_export_macro: true,
    export_macro_name: "__export_catalog",
    default_bindings_module: "lakehouse_sdk::export",
});
