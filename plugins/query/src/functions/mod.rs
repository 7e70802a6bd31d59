//! SQL functions that other plugins export, as functions of the engine.
//!
//! Their names are looked up anew when the host says that a plugin came, went or was
//! replaced. A name that SQL has already stays what it is.

mod aggregate;
mod remote;
mod scalar;
mod states;

use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::datatypes::DataType;
use datafusion::error::DataFusionError;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, Signature};
use lakehouse_sdk::functions::{self, Function};
use lakehouse_sdk::log::{self, Level};
use lakehouse_sdk::sql_types::{FunctionKind, Volatility};
use lakehouse_table::ipc;

use aggregate::PluginAggregate;
use remote::Remote;
use scalar::PluginScalar;

/// Bytes of the longest name.
const MAX_NAME: usize = 64;

/// The state of a session for one statement, with the functions that there are now.
pub fn add_to(template: &SessionState) -> SessionState {
    remote::begin();
    static NOW: Mutex<Option<(u64, SessionState)>> = Mutex::new(None);
    let mut now = NOW.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((generation, state)) = &*now
        && *generation == functions::generation()
    {
        return state.clone();
    }
    let listing = functions::list();
    let mut state = template.clone();
    for function in &listing.functions {
        if let Err(reason) = register(&mut state, function) {
            let fields = [
                ("function".to_owned(), function.signature.name.clone()),
                ("plugin".to_owned(), function.plugin.clone()),
                ("reason".to_owned(), reason),
            ];
            log::write(
                Level::Warn,
                "a SQL function of a plugin is not used",
                &fields,
            );
        }
    }
    *now = Some((listing.generation, state.clone()));
    state
}

/// Adds one function; the error says why it cannot be.
fn register(state: &mut SessionState, function: &Function) -> Result<(), String> {
    let name = &function.signature.name;
    let first = |c: char| c.is_ascii_lowercase() || c == '_';
    if name.len() > MAX_NAME
        || !name.starts_with(first)
        || !name.chars().all(|c| first(c) || c.is_ascii_digit())
    {
        return Err(format!(
            "a name is 1 to {MAX_NAME} of a-z 0-9 _ and does not begin with a digit"
        ));
    }
    if state.scalar_functions().contains_key(name)
        || state.aggregate_functions().contains_key(name)
        || state.window_functions().contains_key(name)
        || state.table_functions().contains_key(name)
        || state.higher_order_functions().contains_key(name)
    {
        return Err("there is a function of this name already".to_owned());
    }
    let arguments = types(&function.signature.arguments)?;
    let Ok([returns]) = <[DataType; 1]>::try_from(types(&function.signature.returns)?) else {
        return Err("it does not return one column".to_owned());
    };
    if arguments.is_empty() && function.signature.kind == FunctionKind::Aggregate {
        return Err("an aggregate has at least one argument".to_owned());
    }
    let remote = Remote::new(function, &arguments, returns);
    let signature = signature(arguments, function.signature.volatility);
    let registered = match function.signature.kind {
        FunctionKind::Scalar => {
            let function = PluginScalar::new(remote, signature);
            state
                .register_udf(Arc::new(ScalarUDF::new_from_impl(function)))
                .map(drop)
        }
        FunctionKind::Aggregate => {
            let function = PluginAggregate::new(remote, signature);
            state
                .register_udaf(Arc::new(AggregateUDF::new_from_impl(function)))
                .map(drop)
        }
    };
    registered.map_err(|error: DataFusionError| error.strip_backtrace())
}

/// The types of a schema's fields.
fn types(schema: &[u8]) -> Result<Vec<DataType>, String> {
    if schema.is_empty() {
        return Err("it does not say its types".to_owned());
    }
    let reader = ipc::Reader::open(schema).map_err(|fault| fault.to_string())?;
    let fields = reader.schema().fields().iter();
    Ok(fields.map(|field| field.data_type().clone()).collect())
}

fn signature(arguments: Vec<DataType>, volatility: Volatility) -> Signature {
    use datafusion::logical_expr::Volatility as Engine;
    let volatility = match volatility {
        Volatility::Immutable => Engine::Immutable,
        Volatility::Stable => Engine::Stable,
        Volatility::Volatile => Engine::Volatile,
    };
    if arguments.is_empty() {
        Signature::nullary(volatility)
    } else {
        Signature::exact(arguments, volatility)
    }
}
