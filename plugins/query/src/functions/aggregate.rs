//! A plugin's aggregate function.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{ScalarValue, not_impl_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature,
};

use super::remote::Remote;
use super::states::States;

/// A value for each group of rows.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PluginAggregate {
    remote: Arc<Remote>,
    signature: Signature,
}

impl PluginAggregate {
    pub fn new(remote: Remote, signature: Signature) -> Self {
        Self {
            remote: Arc::new(remote),
            signature,
        }
    }

    /// Refuses what an aggregate of a plugin would silently get wrong.
    fn states(&self, args: &AccumulatorArgs<'_>) -> Result<States> {
        if args.is_distinct {
            return not_impl_err!("{} takes no DISTINCT", self.remote.name());
        }
        if !args.order_bys.is_empty() {
            return not_impl_err!("{} takes no ORDER BY", self.remote.name());
        }
        Ok(States::new(Arc::clone(&self.remote)))
    }
}

impl AggregateUDFImpl for PluginAggregate {
    fn name(&self) -> &str {
        self.remote.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.remote.returns().clone())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let mut states = self.states(&args)?;
        states.resize(1);
        Ok(Box::new(One(states)))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, "state");
        Ok(vec![Arc::new(Field::new(name, DataType::Binary, true))])
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.states(&args)?))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// All rows as one group.
#[derive(Debug)]
struct One(States);

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values.first().map_or(0, |column| column.len());
        self.0.update_batch(values, &vec![0; rows], None, 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        // A window asks again after more rows: what is there stays.
        let values = self.0.clone().evaluate(EmitTo::All)?;
        ScalarValue::try_from_array(&values, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let states = self.0.clone().state(EmitTo::All)?;
        states
            .iter()
            .map(|state| ScalarValue::try_from_array(state, 0))
            .collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states.first().map_or(0, |column| column.len());
        self.0.merge_batch(states, &vec![0; rows], 1)
    }
}
