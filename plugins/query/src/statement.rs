//! From SQL text to one statement that this plugin may run.
//!
//! The text is split into tokens first: the tokens bound how deep the statement
//! can nest before anything recursive looks at it, `?` becomes `$1`, `$2`, …,
//! and time-travel clauses, which the engine does not know, are folded into the
//! table's name.

use std::ops::ControlFlow;

use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::sql::sqlparser::ast::{
    CreateTable, ObjectNamePart, ObjectType, Statement, visit_relations,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};
use lakehouse_sdk::http::Problem;

use crate::depth;
use crate::error::{invalid, invalid_at, place, sql_problem};
use crate::time_travel;

/// How often the parser may recurse into itself. Nested parentheses cost it
/// several levels each.
const PARSER_RECURSION: usize = 400;

/// A statement that passed every check that needs no table.
#[derive(Debug)]
pub struct Parsed {
    /// The statement, time travel resolved into table names.
    pub statement: Statement,
    /// The highest placeholder, so the number of parameters to expect.
    pub placeholders: usize,
}

/// Parses exactly one statement.
///
/// # Errors
/// 400 with line and column where the text is wrong, or with the name of the
/// statement if it is one that this plugin does not run.
pub fn parse(sql: &str, state: &SessionState) -> Result<Parsed, Problem> {
    let dialect = GenericDialect {};
    let mut tokens = Tokenizer::new(&dialect, sql)
        .tokenize_with_location()
        .map_err(|error| sql_problem(DataFusionError::from(ParserError::from(error))))?;
    depth::check(&tokens)?;
    refuse_external(&tokens)?;
    let placeholders = number_placeholders(&mut tokens)?;
    let travels = time_travel::fold(&mut tokens, &dialect, state)?;

    let mut statements = Parser::new(&dialect)
        .with_recursion_limit(PARSER_RECURSION)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(|error| sql_problem(DataFusionError::from(error)))?;
    let mut statement = match statements.len() {
        1 => statements.remove(0),
        0 => return Err(invalid("The SQL text holds no statement.")),
        n => {
            return Err(invalid(format!(
                "The SQL text holds {n} statements; send one a request."
            )));
        }
    };
    if travels {
        time_travel::keep_names(&mut statement);
    }
    allow(&statement)?;
    Ok(Parsed {
        statement,
        placeholders,
    })
}

/// `CREATE EXTERNAL TABLE` by name: the parser trips over its options first.
fn refuse_external(tokens: &[TokenWithSpan]) -> Result<(), Problem> {
    let mut words = tokens
        .iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_)))
        .map(|token| match &token.token {
            Token::Word(word) => word.keyword,
            _ => Keyword::NoKeyword,
        });
    if words.next() == Some(Keyword::CREATE) && words.next() == Some(Keyword::EXTERNAL) {
        return Err(invalid("CREATE EXTERNAL TABLE is not supported."));
    }
    Ok(())
}

/// Turns `?` into `$1`, `$2`, … and returns the highest number in use.
fn number_placeholders(tokens: &mut [TokenWithSpan]) -> Result<usize, Problem> {
    let mut marks = 0_usize;
    let mut highest = 0_usize;
    for token in tokens {
        let Token::Placeholder(text) = &mut token.token else {
            continue;
        };
        if text == "?" {
            marks += 1;
            *text = format!("${marks}");
        } else {
            match text.strip_prefix('$').map(str::parse::<usize>) {
                Some(Ok(number)) if number > 0 => highest = highest.max(number),
                _ => {
                    return Err(invalid_at(
                        format!("The placeholder `{text}` is neither `?` nor `$1`, `$2`, …"),
                        token.span.start,
                    ));
                }
            }
        }
    }
    if marks > 0 && highest > 0 {
        return Err(invalid(
            "The statement mixes `?` and `$1` placeholders; use one kind.",
        ));
    }
    Ok(marks.max(highest))
}

/// Refuses what reaches beyond the catalog or would outlive the request.
fn allow(statement: &Statement) -> Result<(), Problem> {
    match statement {
        Statement::Query(_)
        | Statement::ExplainTable { .. }
        | Statement::ShowTables { .. }
        | Statement::ShowColumns { .. }
        | Statement::ShowFunctions { .. }
        | Statement::Insert(_)
        | Statement::CreateSchema { .. }
        | Statement::Drop {
            object_type: ObjectType::Table | ObjectType::Schema,
            ..
        } => Ok(()),
        Statement::Explain { statement, .. } if matches!(**statement, Statement::Query(_)) => {
            Ok(())
        }
        Statement::Explain { .. } => Err(invalid("EXPLAIN is for queries only.")),
        Statement::CreateTable(create) => allow_create_table(create),
        other => {
            let text = other.to_string();
            let name: Vec<&str> = text.split_whitespace().take(2).collect();
            Err(invalid(format!(
                "The statement {} is not supported. Supported are SELECT, EXPLAIN, SHOW TABLES, \
                 SHOW COLUMNS, SHOW FUNCTIONS, DESCRIBE, INSERT INTO, CREATE TABLE, DROP TABLE, \
                 CREATE SCHEMA and DROP SCHEMA.",
                name.join(" ").to_uppercase()
            )))
        }
    }
}

fn allow_create_table(create: &CreateTable) -> Result<(), Problem> {
    let refused = if create.temporary {
        "CREATE TEMPORARY TABLE"
    } else if create.or_replace {
        "CREATE OR REPLACE TABLE"
    } else if create.like.is_some() || create.clone.is_some() {
        "CREATE TABLE LIKE"
    } else {
        return Ok(());
    };
    Err(invalid(format!("{refused} is not supported.")))
}

/// Where a statement names its tables: the planner does not say.
pub struct Names(Vec<(String, Location)>);

/// The places of all table names in a statement.
#[must_use]
pub fn names(statement: &Statement) -> Names {
    let mut names = Vec::new();
    let _: ControlFlow<()> = visit_relations(statement, |name| {
        if let Some(ObjectNamePart::Identifier(last)) = name.0.last() {
            let value = match last.quote_style {
                Some(_) => last.value.clone(),
                None => last.value.to_lowercase(),
            };
            names.push((value, last.span.start));
        }
        ControlFlow::Continue(())
    });
    Names(names)
}

impl Names {
    /// Adds the place to a problem about a table that is not there.
    #[must_use]
    pub fn locate(&self, problem: Problem) -> Problem {
        if problem.extensions.contains_key("line") {
            return problem;
        }
        let found = self
            .0
            .iter()
            .find(|(name, _)| problem.detail.contains(&format!("{name}' not found")));
        match found {
            Some((_, at)) if at.line > 0 => place(problem, at.line, at.column),
            _ => problem,
        }
    }
}
