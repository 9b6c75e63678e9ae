//! The rows as a table that fits a terminal. Pure.

use super::rows::{Row, State, Status};

/// Blanks between two columns.
const GAP: usize = 2;

/// What is left of names and reasons before another column has to go.
const LEAST: usize = 20;

/// What a time has to be past by to be said: cron looks once a minute for what is due.
const A_TICK: f64 = 60.0;

/// A column.
struct Column {
    head: &'static str,
    cell: fn(&Row, f64) -> String,
    /// Whether it is of numbers.
    right: bool,
    /// Whether it may be cut rather than go.
    can_be_cut: bool,
    /// Where there is no room, the highest goes first; 0 never does.
    goes: u8,
}

/// By their order on the line.
const COLUMNS: [Column; 11] = [
    Column { can_be_cut: true, ..column("COLLECTOR", 0, |row, _| row.name.clone()) },
    column("MODULE", 6, |row, _| row.module.as_deref().or(row.kind).unwrap_or("-").to_owned()),
    column("INTERVAL", 5, |row, _| interval(row)),
    column("RESULT", 0, |row, _| result(row)),
    column("LAST RUN", 4, |row, now| row.last_run_timestamp_seconds.map_or("-".into(), |at| ago(now - at))),
    Column { right: true, ..column("AGE", 1, |row, _| age(row)) },
    column("NEXT", 2, next),
    Column {
        right: true,
        ..column("SERIES", 7, |row, _| row.series.map_or("-".into(), |series| series.to_string()))
    },
    Column {
        right: true,
        ..column("DURATION", 8, |row, _| row.duration_seconds.map_or("-".into(), short_while))
    },
    column("FILE", 9, |row, _| row.file.clone().unwrap_or("-".into())),
    Column { can_be_cut: true, ..column("REASON", 3, |row, _| reason(row)) },
];

const fn column(head: &'static str, goes: u8, cell: fn(&Row, f64) -> String) -> Column {
    Column { head, cell, right: false, can_be_cut: false, goes }
}

/// Where the table goes.
#[derive(Debug, Clone, Copy)]
pub struct Paper {
    /// The most columns of a line; `None`: as many as it takes.
    pub width: Option<usize>,
    /// Whether results are coloured and the head is bold.
    pub colour: bool,
}

/// The table, and below it what else there is to say; no line is wider than `paper`.
pub fn render(status: &Status, paper: Paper) -> String {
    let width = paper.width.unwrap_or(usize::MAX);
    let now = status.now_timestamp_seconds;
    let mut columns: Vec<(&Column, Vec<String>)> = COLUMNS
        .iter()
        .map(|column| (column, status.collectors.iter().map(|row| cell(column, row, now)).collect()))
        .collect();
    // Where nothing failed there is no reason to show.
    columns.retain(|(column, cells)| column.goes == 0 || cells.iter().any(|cell| !cell.is_empty()));
    let widths = fit(&mut columns, width);
    let mut out = String::new();
    if !status.collectors.is_empty() {
        let heads = columns.iter().map(|(column, _)| (*column, column.head));
        let line = line(heads, &widths, |_, text| text.to_owned());
        out.push_str(&if paper.colour { format!("\x1b[1m{line}\x1b[0m\n") } else { format!("{line}\n") });
    }
    for (number, row) in status.collectors.iter().enumerate() {
        let cells = columns.iter().filter_map(|(column, cells)| Some((*column, cells.get(number)?.as_str())));
        let colour = paper.colour.then(|| colour(row));
        let paint = |column: &Column, text: &str| match colour {
            Some(colour) if column.head == "RESULT" => format!("\x1b[{colour}m{text}\x1b[0m"),
            _ => text.to_owned(),
        };
        out.push_str(&line(cells, &widths, paint));
        out.push('\n');
    }
    for line in below(status) {
        out.push_str(&cut(&line, width));
        out.push('\n');
    }
    out
}

/// Removes the columns for which there is no room, and says how wide each of the rest is.
fn fit(columns: &mut Vec<(&Column, Vec<String>)>, width: usize) -> Vec<usize> {
    let natural = |(column, cells): &(&Column, Vec<String>)| {
        cells.iter().map(|cell| width_of(cell)).max().unwrap_or(0).max(column.head.len())
    };
    let least = |column: &(&Column, Vec<String>)| match column.0.can_be_cut {
        true => natural(column).min(LEAST),
        false => natural(column),
    };
    let total = |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    let mut order: Vec<_> = columns.iter().map(|column| (column.0.goes, least(column))).collect();
    order.sort_unstable();
    // What is left when a wide one had to go may do for one that comes after it.
    let mut room = width.saturating_add(GAP);
    let mut goes = Vec::new();
    for (rank, least) in order {
        match room.checked_sub(least + GAP) {
            Some(left) => room = left,
            None if rank == 0 => room = 0,
            None => goes.push(rank),
        }
    }
    columns.retain(|(column, _)| !goes.contains(&column.goes));
    let mut widths: Vec<usize> = columns.iter().map(least).collect();
    // The first has what room there is before the last.
    for (at, column) in columns.iter().enumerate() {
        let room = width.saturating_sub(total(&widths));
        if let Some(its) = widths.get_mut(at) {
            *its = natural(column).min(its.saturating_add(room));
        }
    }
    // Even what never goes may be too much: the result is what counts.
    while total(&widths) > width {
        let over = total(&widths) - width;
        if let Some(its) = widths.iter_mut().find(|width| **width > 1) {
            *its -= over.min(*its - 1);
        } else if widths.len() > 1 {
            widths.remove(0);
            columns.remove(0);
        } else {
            break;
        }
    }
    widths
}

/// One line of the table; `paint` may add what takes no room.
fn line<'a>(
    cells: impl Iterator<Item = (&'a Column, &'a str)>,
    widths: &[usize],
    paint: impl Fn(&Column, &str) -> String,
) -> String {
    let mut line = String::new();
    // Blanks at the end are not written.
    let mut owed = 0;
    for ((column, cell), width) in cells.zip(widths) {
        let cell = cut(cell, *width);
        let blank = width.saturating_sub(width_of(&cell));
        let (before, after) = if column.right { (blank, 0) } else { (0, blank) };
        if !cell.is_empty() {
            line.push_str(&" ".repeat(owed + before));
            line.push_str(&paint(column, &cell));
            owed = 0;
        }
        owed += after + GAP;
    }
    line
}

/// What stands below the table.
fn below(status: &Status) -> Vec<String> {
    let now = status.now_timestamp_seconds;
    let mut lines = Vec::new();
    if status.collectors.is_empty() {
        lines.push("no collectors, and no files of promdrop's".to_owned());
    }
    lines.push(match status.last_run_timestamp_seconds {
        Some(at) => format!("promdrop last ran {}", ago(now - at)),
        None => "promdrop has never run here".to_owned(),
    });
    match status.foreign_files {
        0 => {}
        1 => lines.push("1 file of others: see promdrop lint".to_owned()),
        number => lines.push(format!("{number} files of others: see promdrop lint")),
    }
    lines
}

fn cell(column: &Column, row: &Row, now: f64) -> String {
    // A tab is as wide as it likes.
    (column.cell)(row, now).replace('\t', " ")
}

fn interval(row: &Row) -> String {
    let Some(interval) = row.interval_seconds else { return "-".to_owned() };
    match row.offset_seconds {
        Some(offset) if offset > 0.0 => format!("{} +{}", exact(interval), part(offset)),
        _ => exact(interval),
    }
}

fn result(row: &Row) -> String {
    let word = match row.state {
        State::Success => "success",
        State::Failed => row.result.unwrap_or("failed"),
        State::Stale => "stale",
        State::Never | State::Overdue => "never run",
        State::Disabled => "disabled",
        State::Config => "config",
        State::Conflict => "conflict",
        State::Left => "left over",
        State::Unknown => "unknown",
    };
    match (row.running, row.state) {
        (Some(true), State::Success | State::Never) => "running".to_owned(),
        (Some(true), _) => format!("{word}, running"),
        _ => word.to_owned(),
    }
}

/// The code of green, yellow or red.
fn colour(row: &Row) -> u8 {
    match row.state {
        State::Success => 32,
        _ if row.failed => 31,
        _ => 33,
    }
}

fn reason(row: &Row) -> String {
    let reason = row.reason.as_deref().unwrap_or_default();
    match (row.state, row.result) {
        (State::Stale, Some(result)) if !reason.is_empty() => format!("{result}: {reason}"),
        (State::Stale, _) if reason.is_empty() => {
            row.max_age_seconds.map_or_else(String::new, |age| format!("past its max_age of {}", exact(age)))
        }
        _ => reason.to_owned(),
    }
}

fn age(row: &Row) -> String {
    match row.age_seconds {
        Some(age) => whole(age),
        None if row.last_run_timestamp_seconds.is_some() => "never".to_owned(),
        None => "-".to_owned(),
    }
}

fn next(row: &Row, now: f64) -> String {
    match row.next_due_timestamp_seconds.map(|at| at - now) {
        None => "-".to_owned(),
        Some(left) if left > 0.0 => format!("in {}", whole(left.ceil())),
        Some(left) if left > -A_TICK => "now".to_owned(),
        Some(left) => ago(-left),
    }
}

fn ago(seconds: f64) -> String {
    if seconds <= -1.0 { format!("in {}", whole(-seconds)) } else { format!("{} ago", whole(seconds)) }
}

/// Rounded down to one unit; the minus of a time that is yet to come is kept.
fn whole(seconds: f64) -> String {
    let sign = if seconds <= -1.0 { "-" } else { "" };
    // The cast keeps to what a u64 can hold.
    let seconds = seconds.abs() as u64;
    match seconds {
        0..120 => format!("{sign}{seconds}s"),
        120..7_200 => format!("{sign}{}m", seconds / 60),
        7_200..172_800 => format!("{sign}{}h", seconds / 3_600),
        _ => format!("{sign}{}d", seconds / 86_400),
    }
}

/// As it was written: no unit is left out.
fn exact(seconds: f64) -> String {
    let mut rest = (seconds * 1000.0).round() as u64;
    let mut out = String::new();
    for (unit, word) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")] {
        if rest >= unit {
            out.push_str(&format!("{}{word}", rest / unit));
            rest %= unit;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

/// Rounded down to seconds, where there are any.
fn part(seconds: f64) -> String {
    exact(if seconds >= 1.0 { seconds.floor() } else { seconds })
}

fn short_while(seconds: f64) -> String {
    match seconds {
        ..0.001 => "<1ms".to_owned(),
        ..1.0 => format!("{:.0}ms", (seconds * 1000.0).floor()),
        ..60.0 => format!("{:.1}s", (seconds * 10.0).floor() / 10.0),
        _ => part(seconds),
    }
}

/// `text` in at most `width` columns of a terminal.
pub fn cut(text: &str, width: usize) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut left = width;
    for c in text.chars() {
        let its = columns_of(c);
        // The last column is for the sign that there is more.
        if its >= left {
            break;
        }
        left -= its;
        out.push(c);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

/// The columns that a terminal takes for `text`.
pub fn width_of(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// The columns that a terminal takes for `c`, by the blocks of Unicode: marks that stand over others take none, and the
/// writings of East Asia and pictures two.
fn columns_of(c: char) -> usize {
    match u32::from(c) {
        0x300..=0x36f
        | 0x483..=0x489
        | 0x591..=0x5bd
        | 0x610..=0x61a
        | 0x64b..=0x65f
        | 0x1ab0..=0x1aff
        | 0x1dc0..=0x1dff
        | 0x200b..=0x200f
        | 0x2060..=0x2064
        | 0x20d0..=0x20ff
        | 0xfe00..=0xfe0f
        | 0xfe20..=0xfe2f
        | 0xfeff
        | 0xe0000..=0xe01ef => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xa960..=0xa97f
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f680..=0x1f6ff
        | 0x1f900..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}
