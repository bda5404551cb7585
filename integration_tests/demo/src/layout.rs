//! How tables and numbers look.

use comfy_table::{CellAlignment, Table, presets};

/// A table without lines, two blanks from the left; the columns in `right` end at the same place.
pub fn aligned(header: Option<Vec<String>>, rows: impl IntoIterator<Item = Vec<String>>, right: &[usize]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).add_rows(rows);
    if let Some(header) = header {
        table.set_header(header);
    }
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!(" {}", line.trim_end())).collect::<Vec<_>>().join("\n")
}

/// 12345 as 12,345.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// Seconds as whole milliseconds.
pub fn milliseconds(seconds: f64) -> String {
    format!("{} ms", grouped((seconds * 1000.0).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_whatever_is_in_them() {
        let rows = [("a", 7), ("bcd", 1234)].map(|(name, count)| vec![name.to_owned(), grouped(count), "x".to_owned()]);
        assert_eq!(aligned(None, rows, &[1]), "  a        7  x\n  bcd  1,234  x");
        assert_eq!((milliseconds(0.0123), milliseconds(12.3456)), ("12 ms".to_owned(), "12,346 ms".to_owned()));
    }
}
