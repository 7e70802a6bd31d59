//! The WebAssembly engine: what guests may use, where their memory lies, and the tick
//! on which they give way.

use std::time::Duration;

use wasmtime::{
    Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

use crate::limiter::TABLE_ELEMENTS;
use crate::{Error, RuntimeConfig};

/// Stack left to host functions above the one that WebAssembly code may fill.
const HOST_STACK: usize = 2 << 20;
/// Bytes of a memory that stay in place between two instances: clearing these few is
/// cheaper than asking the kernel for new ones.
const KEEP_MEMORY: usize = 128 << 10;
/// The same for a table.
const KEEP_TABLE: usize = 16 << 10;

/// An engine with its tick.
pub(crate) fn engine(config: &RuntimeConfig) -> Result<Engine, Error> {
    let mut settings = settings(config);
    settings.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config)));
    let engine = match Engine::new(&settings) {
        Ok(engine) => engine,
        Err(reason) => {
            tracing::warn!(
                %reason,
                "no address space for pooled instances: each is now allocated by itself"
            );
            settings.allocation_strategy(InstanceAllocationStrategy::OnDemand);
            Engine::new(&settings).map_err(|error| Error::Engine(format!("{error:#}")))?
        }
    };
    tick(engine.weak(), config.tick)?;
    Ok(engine)
}

fn settings(config: &RuntimeConfig) -> Config {
    let mut settings = Config::new();
    settings
        .wasm_component_model(true)
        .wasm_component_model_async(true)
        .wasm_simd(true)
        .wasm_wide_arithmetic(true)
        .epoch_interruption(true)
        .parallel_compilation(true)
        .memory_init_cow(true)
        .max_wasm_stack(config.stack)
        .async_stack_size(config.stack + HOST_STACK)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    settings
}

/// Address space for all instances, taken once. A component made by `wasm-tools` has
/// one memory and up to four core instances: itself, the adapter and two shims.
fn pool(config: &RuntimeConfig) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(config.instances)
        .total_core_instances(config.instances.saturating_mul(8))
        .total_memories(config.instances)
        .total_tables(config.instances.saturating_mul(4))
        .total_stacks(config.instances.saturating_mul(2))
        .max_component_instance_size(16 << 20)
        .max_core_instance_size(16 << 20)
        .max_memories_per_module(4)
        .max_tables_per_module(16)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(1 << 32)
        .linear_memory_keep_resident(KEEP_MEMORY)
        .table_keep_resident(KEEP_TABLE)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Starts the engine's one ticking thread, which ends with the engine.
fn tick(engine: EngineWeak, every: Duration) -> Result<(), Error> {
    std::thread::Builder::new()
        .name("plugin-tick".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(every);
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => break,
                }
            }
        })
        .map(drop)
        .map_err(|error| Error::Engine(format!("no thread for the tick: {error}")))
}
