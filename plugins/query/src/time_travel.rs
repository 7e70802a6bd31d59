//! `FROM t FOR VERSION AS OF 42` and `FROM t FOR TIMESTAMP AS OF '…'`.
//!
//! Neither the parser's generic dialect nor the planner knows these clauses. A
//! clause is taken out of the tokens and its value is folded into the table's
//! name: `"t@v42"`, `"t@t1767323045000"`. No table can have such a name of its
//! own, and the schema provider resolves it to that version of the table.

use std::ops::ControlFlow;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::physical_plan::collect;
use datafusion::sql::sqlparser::ast::{
    ExprWithAlias, Ident, ObjectNamePart, Statement, TableAlias, TableFactor, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use lakehouse_sdk::catalog::Version;
use lakehouse_sdk::http::Problem;
use lakehouse_sdk::runtime::block_on;

use crate::error::{invalid_at, message, sql_problem};

/// Splits a name as the schema provider gets it into the table's own name and
/// the version asked for.
#[must_use]
pub fn split(name: &str) -> Option<(&str, Version)> {
    let Some((table, version)) = name.rsplit_once('@') else {
        return Some((name, Version::Current));
    };
    if let Some(id) = version.strip_prefix('v') {
        return Some((table, Version::Snapshot(id.parse().ok()?)));
    }
    let time = version.strip_prefix('t')?;
    Some((table, Version::AsOf(time.parse().ok()?)))
}

/// Folds every time-travel clause into the name before it; says whether there
/// was one.
///
/// # Errors
/// 400 where a clause has no usable value or no table name before it.
pub fn fold(
    tokens: &mut Vec<TokenWithSpan>,
    dialect: &dyn Dialect,
    state: &SessionState,
) -> Result<bool, Problem> {
    let mut found = false;
    let mut index = 0;
    while index < tokens.len() {
        let Some(clause) = Clause::at(tokens, index) else {
            index += 1;
            continue;
        };
        let location = tokens[index].span.start;
        let name = (0..index)
            .rev()
            .find(|&at| !matches!(tokens[at].token, Token::Whitespace(_)))
            .filter(|&at| matches!(tokens[at].token, Token::Word(_)))
            .ok_or_else(|| invalid_at("FOR … AS OF must follow a table's name", location))?;
        let (version, length) = clause.value(tokens, dialect, state, location)?;
        if let Token::Word(word) = &mut tokens[name].token {
            if word.quote_style.is_none() {
                word.value = word.value.to_lowercase();
            }
            word.value.push_str(&version);
            word.quote_style = Some('"');
            word.keyword = Keyword::NoKeyword;
        }
        tokens.drain(index..clause.value_at + length);
        found = true;
    }
    Ok(found)
}

/// Lets columns be addressed by the table's own name, as if no version had been
/// folded into it.
pub fn keep_names(statement: &mut Statement) {
    struct Aliases;

    impl VisitorMut for Aliases {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
            if let TableFactor::Table { name, alias, .. } = factor
                && alias.is_none()
                && let Some(ObjectNamePart::Identifier(last)) = name.0.last()
                && let Some((table, _)) = last.value.rsplit_once('@')
            {
                *alias = Some(TableAlias {
                    explicit: true,
                    name: Ident::with_quote('"', table),
                    columns: Vec::new(),
                    at: None,
                });
            }
            ControlFlow::Continue(())
        }
    }

    // The visitor never breaks off.
    let _: ControlFlow<()> = statement.visit(&mut Aliases);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Version,
    Timestamp,
}

/// A clause found in the tokens.
struct Clause {
    kind: Kind,
    /// Index of the first token of its value.
    value_at: usize,
}

impl Clause {
    /// The clause that begins at `index`, if one does.
    fn at(tokens: &[TokenWithSpan], index: usize) -> Option<Self> {
        if keyword(&tokens[index]) != Some(Keyword::FOR) {
            return None;
        }
        let mut words = (index + 1..tokens.len())
            .filter(|&at| !matches!(tokens[at].token, Token::Whitespace(_)));
        let first = words.next()?;
        let kind = match &tokens[first].token {
            Token::Word(word) if word.quote_style.is_none() => {
                match word.value.to_ascii_uppercase().as_str() {
                    "VERSION" | "SYSTEM_VERSION" => Kind::Version,
                    "TIMESTAMP" | "SYSTEM_TIME" => Kind::Timestamp,
                    _ => return None,
                }
            }
            _ => return None,
        };
        let as_of = keyword(&tokens[words.next()?]) == Some(Keyword::AS)
            && keyword(&tokens[words.next()?]) == Some(Keyword::OF);
        let value_at = words.next()?;
        as_of.then_some(Self { kind, value_at })
    }

    /// The suffix for the table's name, and how many tokens the value takes.
    fn value(
        &self,
        tokens: &[TokenWithSpan],
        dialect: &dyn Dialect,
        state: &SessionState,
        location: Location,
    ) -> Result<(String, usize), Problem> {
        if self.kind == Kind::Version {
            let id = match &tokens[self.value_at].token {
                Token::Number(text, _) | Token::SingleQuotedString(text) => text.parse::<i64>(),
                other => other.to_string().parse(),
            };
            let id = id.map_err(|_| {
                invalid_at(
                    "VERSION AS OF takes the number of a snapshot",
                    tokens[self.value_at].span.start,
                )
            })?;
            return Ok((format!("@v{id}"), 1));
        }
        let mut parser =
            Parser::new(dialect).with_tokens_with_locations(tokens[self.value_at..].to_vec());
        let expr = parser
            .parse_expr()
            .map_err(|error| sql_problem(DataFusionError::from(error)))?;
        let length = parser.index().min(tokens.len() - self.value_at);
        let millis = evaluate(ExprWithAlias { expr, alias: None }, state).map_err(|error| {
            invalid_at(
                format!(
                    "TIMESTAMP AS OF takes a constant time such as '2026-01-31T12:00:00Z': {}",
                    message(&error)
                ),
                location,
            )
        })?;
        Ok((format!("@t{millis}"), length))
    }
}

/// A constant expression as milliseconds since 1970-01-01T00:00:00Z.
fn evaluate(expr: ExprWithAlias, state: &SessionState) -> Result<i64, DataFusionError> {
    let expr = state.create_logical_expr_from_sql_expr(expr, &DFSchema::empty())?;
    // As a query of its own: only the optimizer knows what `now()` is.
    let plan = LogicalPlanBuilder::empty(true).project([expr])?.build()?;
    let batches = block_on(async {
        let plan = state.create_physical_plan(&plan).await?;
        collect(plan, state.task_ctx()).await
    })?;
    let value = match batches.first() {
        Some(batch) if batch.num_rows() == 1 => ScalarValue::try_from_array(batch.column(0), 0)?,
        _ => return Err(DataFusionError::Plan("it is not one value".to_owned())),
    };
    if value.data_type().is_numeric() {
        return Err(DataFusionError::Plan("a number is no time".to_owned()));
    }
    match value.cast_to(&DataType::Timestamp(TimeUnit::Millisecond, None))? {
        ScalarValue::TimestampMillisecond(Some(millis), _) => Ok(millis),
        _ => Err(DataFusionError::Plan("the time is null".to_owned())),
    }
}

fn keyword(token: &TokenWithSpan) -> Option<Keyword> {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.keyword),
        _ => None,
    }
}
