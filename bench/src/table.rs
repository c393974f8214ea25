//! The table, as Markdown, so that it can be put in README as it is.

use comfy_table::{Table, presets::ASCII_MARKDOWN};

use crate::measure::{Figures, thousands};

/// One row a figure, one column a size.
pub fn render(corner: &str, columns: &[(u64, Vec<Figures>)]) -> String {
    let named: Vec<(String, Vec<Figures>)> =
        columns.iter().map(|(resources, steps)| (format!("{} resources", thousands(*resources)), steps.clone())).collect();
    render_named(corner, &named)
}

/// One row a figure, one column a name.
pub fn render_named(corner: &str, columns: &[(String, Vec<Figures>)]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(std::iter::once(corner.to_owned()).chain(columns.iter().map(|(name, _)| name.clone())));
    let rows: Vec<Vec<&(String, String)>> =
        columns.iter().map(|(_, steps)| steps.iter().flat_map(|figures| &figures.0).collect()).collect();
    for (index, (name, _)) in rows.first().into_iter().flatten().enumerate() {
        let values = rows.iter().map(|column| column.get(index).map_or_else(String::new, |(_, value)| value.clone()));
        table.add_row(std::iter::once(name.clone()).chain(values));
    }
    table.to_string()
}
