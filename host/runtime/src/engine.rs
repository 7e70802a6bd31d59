//! A WebAssembly engine: what guests may use, and where their memory lies.

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    RegallocAlgorithm, Strategy, WasmBacktraceDetails,
};

use crate::limiter::TABLE_ELEMENTS;
use crate::tick::Ticker;
use crate::{Error, RuntimeConfig};

/// Stack left to host functions above the one that WebAssembly code may fill.
const HOST_STACK: usize = 2 << 20;
/// Bytes of a memory that stay in place between two instances: clearing these few is
/// cheaper than asking the kernel for new ones.
const KEEP_MEMORY: usize = 128 << 10;
/// The same for a table.
const KEEP_TABLE: usize = 16 << 10;

/// What the calls of an engine's components may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calls {
    /// Return before the next begins, as in components of WASI 0.2.
    InTurn,
    /// Wait side by side, as in components of WASI 0.3. The engine keeps a task for
    /// every call over the boundary then, whether it waits or not.
    SideBySide,
}

/// Whether guests give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turns {
    /// On every tick: their code looks whether there was one.
    Short,
    /// Not before they wait for the host: see [`preempt`](crate::preempt).
    Long,
}

/// What makes code of components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compiler {
    /// Cranelift, which takes its time and makes fast code.
    Best,
    /// Winch, which takes a third of that.
    Draft,
}

/// An engine whose guests give way on every tick, if they do.
pub(crate) fn engine(
    config: &RuntimeConfig,
    calls: Calls,
    turns: Turns,
    compiler: Compiler,
    ticker: &Ticker,
) -> Result<Engine, Error> {
    let mut settings = settings(config, calls, turns);
    if compiler == Compiler::Draft {
        settings
            .strategy(Strategy::Winch)
            .wasm_tail_call(false)
            // For what leads into a guest and out of it, which Cranelift makes here too: at
            // its best that takes twenty times as long as all that Winch does.
            .cranelift_opt_level(OptLevel::None)
            .cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
    }
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
    if turns == Turns::Short {
        ticker.add(engine.weak());
    }
    Ok(engine)
}

fn settings(config: &RuntimeConfig, calls: Calls, turns: Turns) -> Config {
    let side_by_side = calls == Calls::SideBySide;
    let short = turns == Turns::Short;
    let mut settings = Config::new();
    settings
        .wasm_component_model(true)
        .wasm_component_model_async(side_by_side)
        .concurrency_support(side_by_side)
        .wasm_simd(true)
        .wasm_wide_arithmetic(true)
        .epoch_interruption(short)
        // While such a call moves its frame, a guest cannot be stopped.
        .wasm_tail_call(short)
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
