//! Bindings of the self-test as seen by the plugin that is tested.

wit_bindgen::generate!({
    path: "../../wit",
    world: "lakehouse:plugin/self-tested",
    pub_export_macro: true,
    export_macro_name: "__export_self_test",
    default_bindings_module: "lakehouse_sdk::export::self_test",
});
