//! Tables on a terminal.

/// Rows under heads, in columns as wide as they need to be.
pub fn lines(heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Vec<String> {
    let heads: Vec<String> = heads.iter().map(ToString::to_string).collect();
    let mut all = vec![heads];
    all.extend(rows);
    let columns = all[0].len();
    let width = |column: usize| {
        let cells = all.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_heads() {
        let rows = [["a", "-", ""], ["long name", "/v1", "why"]];
        let rows = rows.map(|row| row.map(String::from).to_vec());
        assert_eq!(
            lines(&["NAME", "ROUTE", "REASON"], rows),
            [
                "NAME       ROUTE  REASON",
                "a          -",
                "long name  /v1    why",
            ]
        );
    }
}
