//! The default handler as a component.

use std::path::PathBuf;

use eventos::{
    plugin::{Compiler, Engine, Handler, HandlerConfig, HandlerFile, Settings},
    telemetry::metrics::Metrics,
};

/// Loads `plugins/store.wasm`.
pub(crate) fn component(compiler: Compiler) -> Handler {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../plugins/store.wasm");
    let engine = Engine::new(None, compiler).expect("an engine");
    let (file, own) = (HandlerFile::at(&path), HandlerConfig::default());
    let metrics = Metrics::new().handler("store");
    let loaded = Handler::load(&engine, &file, &Settings::default(), &own, metrics);
    loaded.expect("run it as `cargo xtask bench`, which builds the handler")
}
