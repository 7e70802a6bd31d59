//! A plugin's scalar function.

use datafusion::arrow::array::new_empty_array;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::remote::Remote;

/// A value for each row.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PluginScalar {
    remote: Remote,
    signature: Signature,
}

impl PluginScalar {
    pub fn new(remote: Remote, signature: Signature) -> Self {
        Self { remote, signature }
    }
}

impl ScalarUDFImpl for PluginScalar {
    fn name(&self) -> &str {
        self.remote.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.remote.returns().clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = |value: &ColumnarValue| matches!(value, ColumnarValue::Scalar(_));
        let once =
            self.signature.volatility != Volatility::Volatile && args.args.iter().all(constant);
        let rows = if once { 1 } else { args.number_rows };
        if rows == 0 {
            return Ok(ColumnarValue::Array(new_empty_array(self.remote.returns())));
        }
        let columns = args.args.iter().map(|value| value.to_array(rows));
        let values = self
            .remote
            .call(&columns.collect::<Result<Vec<_>>>()?, rows)?;
        Ok(if once {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?)
        } else {
            ColumnarValue::Array(values)
        })
    }
}
