//! The functions of a plugin by name, as the host calls them.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};

use super::aggregate::Steps;
use super::{Body, Error, Function};
use crate::ipc;
use crate::sql_types::{FunctionKind, FunctionSignature};

/// All functions of a plugin.
#[derive(Debug)]
pub struct Registry(Vec<Function>);

impl Registry {
    /// These functions.
    #[must_use]
    pub fn new(functions: Vec<Function>) -> Self {
        Self(functions)
    }

    /// `sql-functions.list`
    ///
    /// # Errors
    /// Two functions of one name, a type that Arrow cannot write.
    pub fn list(&self) -> Result<Vec<FunctionSignature>, Error> {
        let listed = self.0.iter().enumerate().map(|(at, function)| {
            let name = &function.name;
            if self.0[..at].iter().any(|other| other.name == *name) {
                return Err(Error::Invalid(format!("there are two functions `{name}`")));
            }
            Ok(FunctionSignature {
                name: name.clone(),
                kind: match function.body {
                    Body::Scalar(_) => FunctionKind::Scalar,
                    Body::Aggregate(_) => FunctionKind::Aggregate,
                },
                arguments: schema(&function.arguments)?,
                returns: schema(std::slice::from_ref(&function.returns))?,
                volatility: function.volatility,
            })
        });
        listed.collect()
    }

    /// `sql-functions.call`
    ///
    /// # Errors
    /// Those of the function, and of rows that are none.
    pub fn call(&self, name: &str, rows: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.find(name)?.body {
            Body::Scalar(body) => column(body(&ipc::decode(rows)?)?),
            Body::Aggregate(_) => Err(Error::Invalid(format!("`{name}` is an aggregate"))),
        }
    }

    /// `sql-functions.accumulate`
    ///
    /// # Errors
    /// Those of the function, and of rows that are none.
    pub fn accumulate(&self, name: &str, states: &[u8], rows: &[u8]) -> Result<Vec<u8>, Error> {
        let steps = self.steps(name)?;
        let states = (steps.accumulate)(&ipc::decode(states)?, &ipc::decode(rows)?)?;
        Ok(ipc::encode(&states)?)
    }

    /// `sql-functions.merge`
    ///
    /// # Errors
    /// Those of the function, and of states that are none.
    pub fn merge(&self, name: &str, states: &[u8], others: &[u8]) -> Result<Vec<u8>, Error> {
        let steps = self.steps(name)?;
        let states = (steps.merge)(&ipc::decode(states)?, &ipc::decode(others)?)?;
        Ok(ipc::encode(&states)?)
    }

    /// `sql-functions.evaluate`
    ///
    /// # Errors
    /// Those of the function, and of states that are none.
    pub fn evaluate(&self, name: &str, states: &[u8]) -> Result<Vec<u8>, Error> {
        column((self.steps(name)?.evaluate)(&ipc::decode(states)?)?)
    }

    fn find(&self, name: &str) -> Result<&Function, Error> {
        let found = self.0.iter().find(|function| function.name == name);
        found.ok_or_else(|| Error::NotFound(format!("there is no function `{name}`")))
    }

    fn steps(&self, name: &str) -> Result<&Steps, Error> {
        match &self.find(name)?.body {
            Body::Aggregate(steps) => Ok(steps),
            Body::Scalar(_) => Err(Error::Invalid(format!("`{name}` is no aggregate"))),
        }
    }
}

/// Types as a schema of nameless fields.
fn schema(types: &[DataType]) -> Result<Vec<u8>, Error> {
    let fields = types.iter().enumerate();
    let fields = fields.map(|(at, ty)| Field::new(format!("{at}"), ty.clone(), true));
    Ok(ipc::encode_schema(&Schema::new(
        fields.collect::<Vec<_>>(),
    ))?)
}

/// A column as a batch.
fn column(values: ArrayRef) -> Result<Vec<u8>, Error> {
    let field = Field::new("value", values.data_type().clone(), true);
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![values])?;
    Ok(ipc::encode(&batch)?)
}
