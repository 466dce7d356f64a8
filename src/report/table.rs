//! Tables that know the width of the terminal: columns leave by priority, the last text column is clipped, nothing wraps.

use crate::report::style::{Glyphs, Line, Look, Span};
use crate::report::text;

/// One column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    /// Title, printable.
    pub title: String,
    /// Numbers stand right.
    pub right: bool,
    /// Order of leaving when the table is too wide: the highest leaves first; 0 = never.
    pub leaves: u8,
    /// Least width to which its cells may be cut before any column leaves; 0 = its cells are never cut.
    pub least: usize,
    /// Cells, one per row.
    pub cells: Vec<Span>,
}

impl Column {
    /// A column of text.
    pub fn text(title: impl Into<String>, leaves: u8) -> Self {
        Self {
            title: title.into(),
            right: false,
            leaves,
            least: 0,
            cells: Vec::new(),
        }
    }

    /// A column of numbers.
    pub fn number(title: impl Into<String>, leaves: u8) -> Self {
        Self {
            right: true,
            ..Self::text(title, leaves)
        }
    }

    /// Appends a plain cell.
    pub fn push(&mut self, cell: impl Into<String>) {
        self.cells.push(Span::plain(cell));
    }

    /// Appends a cell with a look.
    pub fn push_span(&mut self, cell: Span) {
        self.cells.push(cell);
    }

    fn width(&self) -> usize {
        self.cells
            .iter()
            .map(|cell| text::width(&cell.text))
            .chain([text::width(&self.title)])
            .max()
            .unwrap_or(0)
    }

    fn is_empty(&self) -> bool {
        self.cells.iter().all(|cell| cell.text.is_empty())
    }
}

/// Lines of a table: a dim header, then the rows, indented by `indent`, no line wider than `width` (`None` = no limit).
/// Columns without any content are left out.
pub fn lines(mut columns: Vec<Column>, indent: usize, width: Option<usize>, glyphs: Glyphs) -> Vec<Line> {
    columns.retain(|column| column.leaves == 0 || !column.is_empty());
    if let Some(width) = width {
        shrink(&mut columns, indent, width, glyphs);
        while total(&columns, indent) > width {
            let first = columns
                .iter()
                .enumerate()
                .filter(|(_, column)| column.leaves > 0)
                .max_by_key(|(index, column)| (column.leaves, *index));
            let Some((index, _)) = first else { break };
            columns.remove(index);
        }
    }
    let widths: Vec<usize> = columns.iter().map(Column::width).collect();
    let rows = columns.iter().map(|column| column.cells.len()).max().unwrap_or(0);
    let mut out = Vec::with_capacity(rows + 1);
    let header = columns
        .iter()
        .map(|column| Span::new(column.title.clone(), Look::Dim))
        .collect::<Vec<_>>();
    out.push(row(&columns, &widths, &header, indent));
    for index in 0..rows {
        let cells: Vec<Span> = columns
            .iter()
            .map(|column| column.cells.get(index).cloned().unwrap_or_default())
            .collect();
        out.push(row(&columns, &widths, &cells, indent));
    }
    match width {
        Some(width) => out.iter().map(|line| line.clipped(width, glyphs)).collect(),
        None => out,
    }
}

/// Cuts the cells of columns that allow it.
fn shrink(columns: &mut [Column], indent: usize, width: usize, glyphs: Glyphs) {
    for index in 0..columns.len() {
        let over = total(columns, indent).saturating_sub(width);
        let Some(column) = columns.get_mut(index) else {
            return;
        };
        if over == 0 || column.least == 0 {
            continue;
        }
        let target = column.width().saturating_sub(over).max(column.least);
        for cell in &mut column.cells {
            cell.text = text::clip(&cell.text, target, glyphs.is_unicode());
        }
    }
}

fn total(columns: &[Column], indent: usize) -> usize {
    indent + columns.iter().map(Column::width).sum::<usize>() + columns.len().saturating_sub(1) * 2
}

fn row(columns: &[Column], widths: &[usize], cells: &[Span], indent: usize) -> Line {
    let mut line = Line::plain(" ".repeat(indent));
    for (index, ((column, width), cell)) in columns.iter().zip(widths).zip(cells).enumerate() {
        if index > 0 {
            line.push("  ", Look::Plain);
        }
        let spaces = " ".repeat(width.saturating_sub(text::width(&cell.text)));
        if column.right {
            line.push(spaces, Look::Plain);
            line.0.push(cell.clone());
        } else {
            line.0.push(cell.clone());
            line.push(spaces, Look::Plain);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Vec<Column> {
        let mut name = Column::text("name", 0);
        let mut value = Column::number("value", 0);
        let mut note = Column::text("note", 2);
        let mut empty = Column::text("empty", 1);
        for (a, b, c) in [("alpha", "1.0", "first"), ("b", "10.25", "")] {
            name.push(a);
            value.push(b);
            note.push(c);
            empty.push("");
        }
        vec![name, value, note, empty]
    }

    #[test]
    fn numbers_stand_right_and_empty_columns_go() {
        let text: Vec<String> = lines(table(), 2, None, Glyphs::Unicode)
            .iter()
            .map(|line| line.render(false))
            .collect();
        assert_eq!(
            text,
            ["  name   value  note", "  alpha    1.0  first", "  b      10.25"]
        );
    }

    #[test]
    fn columns_leave_by_priority() {
        let text: Vec<String> = lines(table(), 0, Some(14), Glyphs::Unicode)
            .iter()
            .map(|line| line.render(false))
            .collect();
        assert_eq!(text, ["name   value", "alpha    1.0", "b      10.25"]);
    }
}
