//! Bindings of a format as seen by the plugin that serves it.

wit_bindgen::generate!({
    path: "../../wit",
    world: "lakehouse:plugin/format-export",
    with: {
        "lakehouse:plugin/types@0.1.0": crate::bindings::lakehouse::plugin::types,
        "lakehouse:plugin/format-types@0.1.0": crate::bindings::lakehouse::plugin::format_types,
    },
    pub_export_macro: true,
    export_macro_name: "__export_format",
    default_bindings_module: "lakehouse_sdk::export::format",
});
