//! Bindings of SQL functions as seen by a plugin that has some.

wit_bindgen::generate!({
    path: "../../wit",
    world: "lakehouse:plugin/functions-export",
    with: {
        "lakehouse:plugin/types@0.1.0": crate::bindings::lakehouse::plugin::types,
        "lakehouse:plugin/sql-types@0.1.0": crate::bindings::lakehouse::plugin::sql_types,
    },
    pub_export_macro: true,
    export_macro_name: "__export_functions",
    default_bindings_module: "lakehouse_sdk::export::functions",
});
