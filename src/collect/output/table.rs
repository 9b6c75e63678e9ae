//! `format: table`: a record for each line, its cells between blanks or by a delimiter, as CSV has them.

use std::borrow::Cow;
use std::collections::HashMap;

use csv::StringRecord;

use super::record::{Found, Record, Records, Take, line_place};
use super::{Reader, Unreadable, excerpt, metric};
use crate::config::yaml::{
    Node, Problems, Section, Wrong, nearest, quote, read_integer, read_list, read_text,
};

#[derive(Debug)]
struct Table {
    /// What stands between cells; `None`: blanks, any number of them.
    delimiter: Option<u8>,
    /// Whether a cell by a delimiter may stand in quotes.
    quotes: bool,
    /// Whether the first line names the columns.
    header: bool,
    /// The definition's own names, in place of the header's.
    columns: Option<Vec<String>>,
    /// Lines before the table.
    skip: usize,
}

pub(super) fn read(section: &mut Section<'_>) -> Option<Box<dyn Reader>> {
    let delimiter = match section.node("delimiter") {
        Some(node) => read_text(node, section.problems(), parse_delimiter),
        None => Some(None),
    };
    let quotes = section.optional::<bool>("quotes");
    if quotes.is_some() && delimiter == Some(None) {
        let wrong = Wrong::new("`quotes` has no meaning between blanks", "remove it, or add `delimiter`");
        section.report("quotes", wrong);
    }
    let quotes = quotes.unwrap_or(true);
    let header = section.optional::<bool>("header").unwrap_or(true);
    let columns = match section.node("columns") {
        Some(node) => read_columns(node, section.problems()).map(Some),
        None => Some(None),
    };
    let skip = section
        .node("skip")
        .and_then(|node| read_integer(node, section.problems(), 0, 1_000_000))
        .and_then(|skip| usize::try_from(skip).ok())
        .unwrap_or(0);
    let table = delimiter.zip(columns).map(|(delimiter, columns)| {
        Box::new(Table { delimiter, quotes, header, columns, skip }) as Box<dyn Records>
    });
    metric::read(section, table)
}

fn parse_delimiter(text: &str) -> Result<Option<u8>, Wrong> {
    match text.as_bytes() {
        b"blanks" => Ok(None),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r' | b'\0') => Ok(Some(*byte)),
        _ => Err(Wrong::new(
            format!("{} can't stand between cells", quote(text)),
            "write `blanks`, or one character such as `,` or `\"\\t\"`",
        )),
    }
}

fn read_columns(node: &Node, problems: &Problems) -> Option<Vec<String>> {
    let items = read_list(node, problems, "write `[NAME, NAME]`")?;
    if items.is_empty() {
        problems.report(node, Wrong::new("the list is empty", "name the columns, or leave `columns` out"));
    }
    let mut names: Vec<String> = Vec::new();
    for item in items {
        let name = read_text(item, problems, |text| match text {
            _ if text.trim() != text || text.is_empty() => {
                Err(Wrong::new("a column's name is empty, or has blanks around it", "name it by a word"))
            }
            _ if number(text).is_some() => {
                let message = format!("{} as a name would be mistaken for a column's number", quote(text));
                Err(Wrong::new(message, "name it by a word"))
            }
            _ if names.iter().any(|name| name == text) => {
                Err(Wrong::new(format!("the column {} stands here twice", quote(text)), "rename one of them"))
            }
            _ => Ok(text.to_owned()),
        });
        names.extend(name);
    }
    (names.len() == items.len()).then_some(names)
}

/// The place of a column that is called by its number, from 1.
fn number(field: &str) -> Option<usize> {
    let digits = field.bytes().all(|byte| byte.is_ascii_digit());
    field.parse::<usize>().ok().filter(|_| digits)?.checked_sub(1)
}

impl Records for Table {
    fn noun(&self) -> &'static str {
        "column"
    }

    fn check_field(&self, field: &str) -> Result<(), Wrong> {
        if let Some(columns) = &self.columns {
            let names: Vec<&str> = columns.iter().map(String::as_str).collect();
            if names.contains(&field) || number(field).is_some_and(|at| at < names.len()) {
                return Ok(());
            }
            let cure = match nearest(field, &names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its columns: {}", names.join(", ")),
            };
            return Err(Wrong::new(format!("the table has no column {}", quote(field)), cure));
        }
        if number(field).is_some() || (self.header && !field.trim().is_empty() && field.trim() == field) {
            return Ok(());
        }
        let message = format!("the table has no column {}", quote(field));
        Err(Wrong::new(message, "call it by its number, from 1, or name all by `columns`"))
    }

    fn each(&self, output: &str, take: &mut Take<'_>) -> Result<(), Unreadable> {
        match self.delimiter {
            None => self.by_blanks(output, take),
            Some(delimiter) => self.by_delimiter(output, delimiter, take),
        }
    }
}

impl Table {
    fn by_blanks(&self, output: &str, take: &mut Take<'_>) -> Result<(), Unreadable> {
        let lines = output.lines().enumerate().skip(self.skip);
        let mut lines = lines.filter(|(_, text)| !text.trim_ascii().is_empty()).peekable();
        let header = if self.header { lines.next() } else { None };
        if let (None, Some((at, text)), Some((_, row))) = (&self.columns, header, lines.peek())
            && is_left_of(row, text)
        {
            let message = "the first column of the header line has no name: name all by `columns`".to_owned();
            return Err(Unreadable { message, detail: format!("line {}: {}", at + 1, excerpt(text)) });
        }
        let names = header.map(|(at, text)| (at + 1, text.split_ascii_whitespace(), text));
        let columns = self.named(names)?;
        for (at, text) in lines {
            take(&Row { columns: &columns, line: at + 1, text, cells: Cells::Blanks })?;
        }
        Ok(())
    }

    fn by_delimiter(&self, output: &str, delimiter: u8, take: &mut Take<'_>) -> Result<(), Unreadable> {
        let skipped: usize = output.split_inclusive('\n').take(self.skip).map(str::len).sum();
        let text = output.get(skipped..).unwrap_or_default();
        if self.quotes
            && let Some(at) = unclosed(text, delimiter)
        {
            let (before, quote) = text.split_at_checked(at).unwrap_or_default();
            let line = self.skip + before.matches('\n').count() + 1;
            let message = format!(
                "the quote that opens in {} is not closed where a cell ends: `quotes: false` makes quotes ordinary \
                 characters",
                line_place(line)
            );
            let shown = excerpt(quote.lines().next().unwrap_or_default());
            return Err(Unreadable { message, detail: format!("line {line}: {shown}") });
        }
        let mut rows = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .quoting(self.quotes)
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        let mut cells = StringRecord::new();
        let mut columns: Option<Columns> = None;
        while rows.read_record(&mut cells).map_err(|error| unlikely(&error))? {
            if cells.len() == 1 && cells.iter().all(|cell| cell.trim().is_empty()) {
                continue;
            }
            let (line, source) = place(text, &cells);
            let line = line + self.skip;
            let Some(columns) = &columns else {
                let header = self.header.then(|| (line, cells.iter().map(str::trim), source));
                let named = columns.insert(self.named(header)?);
                if !self.header {
                    named.row(line, source, &cells, take)?;
                }
                continue;
            };
            columns.row(line, source, &cells, take)?;
        }
        match columns {
            Some(_) => Ok(()),
            // Without any line there may be no header, which is for `named` to say.
            None => self.named(None::<(usize, std::iter::Empty<&str>, &str)>).map(drop),
        }
    }

    /// The columns by their names: those of the definition, or else of the header, which is a line with its number.
    fn named<'t>(
        &self,
        header: Option<(usize, impl Iterator<Item = &'t str>, &str)>,
    ) -> Result<Columns, Unreadable> {
        if self.header && header.is_none() {
            let message = "there is no header line in its output".to_owned();
            return Err(Unreadable { message, detail: String::new() });
        }
        let mut names = HashMap::new();
        if let Some(columns) = &self.columns {
            names.extend(columns.iter().enumerate().map(|(at, name)| (name.clone(), at)));
        } else if let Some((line, header, text)) = header {
            for (at, name) in header.enumerate() {
                if names.insert(name.to_owned(), at).is_some() && !name.is_empty() {
                    let message =
                        format!("{} names two columns alike: name them by `columns`", line_place(line));
                    return Err(Unreadable { message, detail: format!("line {line}: {}", excerpt(text)) });
                }
            }
        } else {
            return Ok(Columns { names, count: None });
        }
        let count = names.values().max().map(|last| last + 1);
        Ok(Columns { names, count })
    }
}

/// Where a quote opens a cell and none closes it at the end of one. The crate takes what follows, rows and all, as the
/// cell's, and says nothing.
fn unclosed(text: &str, delimiter: u8) -> Option<usize> {
    enum At {
        Begin,
        Plain,
        Quoted(usize),
        /// After a quote in a quoted cell: the end of it, or the first of two.
        Closed(usize),
    }
    let bom = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut state = At::Begin;
    for (at, byte) in text.bytes().enumerate().skip(bom) {
        state = match (state, byte) {
            (At::Begin, b'"') => At::Quoted(at),
            (At::Quoted(from), b'"') => At::Closed(from),
            (At::Quoted(from), _) | (At::Closed(from), b'"') => At::Quoted(from),
            (_, b'\n' | b'\r') => At::Begin,
            (_, byte) if byte == delimiter => At::Begin,
            (At::Closed(from), b' ' | b'\t') => At::Closed(from),
            (At::Closed(from), _) => return Some(from),
            (At::Begin | At::Plain, _) => At::Plain,
        };
    }
    match state {
        At::Quoted(from) => Some(from),
        At::Begin | At::Plain | At::Closed(_) => None,
    }
}

/// Reading bytes can't fail, and they were UTF-8.
fn unlikely(error: &csv::Error) -> Unreadable {
    Unreadable { message: "its output is no table".into(), detail: excerpt(&error.to_string()) }
}

/// The line of `text`, from 1, in which the record `cells` begins, and its text. The crate counts from where it began
/// to look, which is before blank lines.
fn place<'t>(text: &'t str, cells: &StringRecord) -> (usize, &'t str) {
    let Some(position) = cells.position() else { return (1, "") };
    let from = usize::try_from(position.byte()).unwrap_or(0);
    let rest = text.get(from..).unwrap_or_default();
    let source = rest.trim_start_matches(['\n', '\r']);
    let blank = rest.len() - source.len();
    let passed = rest.get(..blank).unwrap_or_default().matches('\n').count();
    let line = usize::try_from(position.line()).unwrap_or(0);
    (line + passed, source.lines().next().unwrap_or_default())
}

/// The columns of a table.
struct Columns {
    names: HashMap<String, usize>,
    /// How many there are, where that is known.
    count: Option<usize>,
}

impl Columns {
    /// Hands one row to `take`, which may have fewer cells than there are columns but not more.
    fn row(
        &self,
        line: usize,
        text: &str,
        cells: &StringRecord,
        take: &mut Take<'_>,
    ) -> Result<(), Unreadable> {
        if let Some(count) = self.count.filter(|count| cells.len() > *count) {
            let message =
                format!("{} has {} cells, the table has {count} columns", line_place(line), cells.len());
            return Err(Unreadable { message, detail: format!("line {line}: {}", excerpt(text)) });
        }
        take(&Row { columns: self, line, text, cells: Cells::Split(cells) })
    }
}

/// A line.
struct Row<'a> {
    columns: &'a Columns,
    line: usize,
    text: &'a str,
    cells: Cells<'a>,
}

enum Cells<'a> {
    /// Between the blanks of the line.
    Blanks,
    /// These.
    Split(&'a StringRecord),
}

impl Record for Row<'_> {
    fn place(&self) -> Cow<'static, str> {
        line_place(self.line)
    }

    fn quote(&self, _: &str) -> String {
        format!("line {}: {}", self.line, excerpt(self.text))
    }

    fn field(&self, name: &str) -> Found<'_> {
        let Some(at) = self.columns.names.get(name).copied().or_else(|| number(name)) else {
            return Found::Missing;
        };
        match self.cells {
            Cells::Split(cells) => Found::or_missing(cells.get(at)),
            Cells::Blanks => match self.columns.count {
                Some(count) if at + 1 == count => Found::or_missing(after(self.text, at)),
                Some(count) if at >= count => Found::Missing,
                _ => Found::or_missing(self.text.split_ascii_whitespace().nth(at)),
            },
        }
    }
}

/// Whether the first cell of `row` ends before the first word of `header` begins, as it does where `free` and others
/// leave the first column without a name: then every name would be that of the column before its own.
fn is_left_of(row: &str, header: &str) -> bool {
    let indent = |line: &str| line.len() - line.trim_ascii_start().len();
    let end = row.trim_ascii_start().find(|c: char| c.is_ascii_whitespace()).map(|cell| indent(row) + cell);
    let width = |text: Option<&str>| {
        text.unwrap_or_default().chars().fold(0, |at, c| match c {
            '\t' => (at / 8 + 1) * 8,
            _ => at + 1,
        })
    };
    width(row.get(..end.unwrap_or(row.len()))) <= width(header.get(..indent(header)))
}

/// What stands after the first `cells` cells of `line`, blanks between its own words included.
fn after(line: &str, cells: usize) -> Option<&str> {
    let mut rest = line.trim_ascii();
    for _ in 0..cells {
        let (_, after) = rest.split_once(|c: char| c.is_ascii_whitespace())?;
        rest = after.trim_ascii_start();
    }
    (!rest.is_empty()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{format, message, read};

    const DF: &str =
        "Filesystem 1K-blocks Use% Mounted on\n/dev/sda1 100 5% /\n\ntmpfs\t 10  50% /mnt/my disk \n";

    fn samples(more: &str, output: &str) -> String {
        let text = read(&format!("{{format: table, name: a, {more}}}"), output).unwrap();
        text.lines().skip(1).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_first_line_names_the_columns() {
        assert_eq!(
            samples("value: Use%, labels_from: {m: Mounted}", DF),
            r#"a{m="/"} 0.05 a{m="/mnt/my"} 0.5"#
        );
        assert_eq!(
            samples("value: '2', labels_from: {f: '1'}", DF),
            r#"a{f="/dev/sda1"} 100 a{f="tmpfs"} 10"#
        );
        let yaml = "{format: table, name: a, value: Uze%}";
        assert_eq!(message(yaml, DF), "there is no column `Uze%` in line 2 of its output");
        assert_eq!(
            message("{format: table, name: a, value: '6'}", DF),
            "there is no column `6` in line 2 of its output"
        );
    }

    #[test]
    fn columns_of_ones_own_and_the_last_takes_the_rest() {
        let own = "value: used, columns: [fs, blocks, used, mount], labels_from: {m: mount}";
        assert_eq!(samples(own, DF), r#"a{m="/"} 0.05 a{m="/mnt/my disk"} 0.5"#);
        let rest = DF.split_once('\n').unwrap().1;
        assert_eq!(
            samples(&format!("header: false, {own}"), rest),
            r#"a{m="/"} 0.05 a{m="/mnt/my disk"} 0.5"#
        );
        assert_eq!(
            samples("header: false, value: '2', labels_from: {m: '5'}, optional: true", rest),
            r#"a 100 a{m="disk"} 10"#
        );
        assert_eq!(samples("value: '3', columns: [fs, blocks, used, mount], reduce: max", DF), "a 0.5");
    }

    #[test]
    fn a_first_column_without_a_name_is_refused() {
        const UNNAMED: &str = "the first column of the header line has no name: name all by `columns`";
        let yaml = "{format: table, name: a, value: total, reduce: max}";
        for output in ["      total  used\nMem:     7     5\n", "\ttotal\tused\n\nSECRETS\t7\t5\n"] {
            assert_eq!(message(yaml, output), UNNAMED);
        }
        let columns = "columns: [of, total, used], value: total";
        assert_eq!(samples(columns, "      total  used\nMem:     7     5\n"), "a 7");
        // Headings that stand on the right of their columns, and no row at all.
        assert_eq!(samples("value: PID, reduce: max", "    PID TTY\n      1 ?\n1234567 ?\n"), "a 1234567");
        assert_eq!(samples("reduce: count", "   n\n"), "a 0");
    }

    #[test]
    fn a_header_must_be_there() {
        for more in ["", ", delimiter: ','", ", skip: 1", ", columns: [b]"] {
            let yaml = format!("{{format: table, name: a, reduce: count{more}}}");
            assert_eq!(message(&yaml, "\n \n"), "there is no header line in its output", "{more}");
        }
        assert_eq!(samples("header: false, reduce: count", "\n"), "a 0");
        assert_eq!(read("{format: table, name: a, value: b, allow_empty: true}", "\n").unwrap(), "");
    }

    #[test]
    fn what_is_not_in_a_line_is_missing() {
        let yaml = "{format: table, name: a, value: b, labels_from: {c: c}}";
        assert_eq!(message(yaml, "a b c\n1 2 3\n\n1 2\n"), "there is no column `c` in line 4 of its output");
        let yaml = "{format: table, name: a, value: b, delimiter: ',', labels_from: {c: c}}";
        assert_eq!(
            message(yaml, "\na,b,c\n\n1,2,3\n\n\n1,2\n"),
            "there is no column `c` in line 7 of its output"
        );
    }

    #[test]
    fn lines_before_the_table_are_skipped() {
        assert_eq!(samples("skip: 2, value: b", "x\n\na b\n1 2\n"), "a 2");
        assert_eq!(samples("skip: 2, value: b, delimiter: ';'", "\"x\n\na;b\n1;2\n"), "a 2");
        assert_eq!(
            message("{format: table, name: a, skip: 9, value: b}", "a b\n1 2\n"),
            "there is no header line in its output"
        );
        let yaml = "{format: table, name: a, skip: 1, value: b, delimiter: ','}";
        assert_eq!(message(yaml, "x\na,b\n1,x\n"), "column `b` in line 3 of its output is not one number");
    }

    #[test]
    fn a_delimiter_makes_it_csv() {
        let output = "name, size,x\n\"a \"\"b\"\", c\", 5 kB,\"one\ntwo\"\n\n  \n,7,\n";
        assert_eq!(
            samples("delimiter: ',', value: size, labels_from: {n: name, x: x}", output),
            r#"a{n="a \"b\", c",x="one\ntwo"} 5120 a 7"#
        );
        assert_eq!(samples("delimiter: \"\\t\", header: false, value: '2'", "a b\t2\n"), "a 2");
        let yaml = "{format: table, name: a, delimiter: ':', value: b}";
        let (message, detail) = read(yaml, "a:b\n1:2\n\"SECRET\n\":2:3\n").unwrap_err();
        assert_eq!(message, "line 3 of its output has 3 cells, the table has 2 columns");
        assert_eq!(detail, "line 3: \"\"SECRET\"");
    }

    #[test]
    fn a_quote_that_is_not_closed_is_refused() {
        let yaml = "{format: table, name: a, skip: 1, delimiter: ',', value: b, reduce: sum}";
        for output in ["x\na,b\n\"c,d\n\"\n\"SECRET,1\ne,2\n", "x\na,b\n\n\n\"SECRET,1\n\"e,2\n"] {
            let (message, detail) = read(yaml, output).unwrap_err();
            assert_eq!(
                message,
                "the quote that opens in line 5 of its output is not closed where a cell ends: `quotes: false` makes \
                 quotes ordinary characters"
            );
            assert_eq!(detail, "line 5: \"\"SECRET,1\"");
        }
        let closed = "\u{feff}\"a\" ,b\r\n\"x,\"\"\ny\"\t,1\r\n12\" z,2\n,\"3\"";
        assert_eq!(samples("delimiter: ',', value: b, reduce: sum", closed), "a 6");
    }

    #[test]
    fn quotes_may_be_ordinary_characters() {
        let more = "delimiter: ',', quotes: false, value: b, labels_from: {a: a}";
        assert_eq!(samples(more, "a,b\n\"x,1\ny\",2\n"), r#"a{a="\"x"} 1 a{a="y\""} 2"#);
        assert_eq!(
            format("{format: table, name: a, value: b, quotes: true}").unwrap_err(),
            ["`quotes` has no meaning between blanks"]
        );
    }

    #[test]
    fn columns_that_are_called_alike_are_refused() {
        for delimiter in ["blanks", ","] {
            let yaml = format!("{{format: table, name: a, delimiter: '{delimiter}', value: b}}");
            let output = "b SECRET SECRET\n1 2 3\n".replace(' ', if delimiter == "," { "," } else { " " });
            assert_eq!(
                message(&yaml, output),
                "line 1 of its output names two columns alike: name them by `columns`"
            );
        }
        assert_eq!(samples("columns: [x, y, z], value: z", "b SECRET SECRET\n1 2 3\n"), "a 3");
    }

    #[test]
    fn what_is_no_table_is_told() {
        for (more, expected) in [
            ("value: x, delimiter: ''", "`` can't stand between cells"),
            ("value: x, delimiter: ', '", "`, ` can't stand between cells"),
            ("value: x, delimiter: '\"'", "`\"` can't stand between cells"),
            ("value: x, delimiter: ä", "`ä` can't stand between cells"),
            ("value: x, columns: []", "the list is empty"),
            ("value: x, columns: [a, a, x]", "the column `a` stands here twice"),
            ("value: x, columns: [x, '2']", "`2` as a name would be mistaken for a column's number"),
            ("value: x, columns: [x, ' a']", "a column's name is empty, or has blanks around it"),
            ("value: y, columns: [x, yy]", "the table has no column `y`"),
            ("value: '3', columns: [x, yy]", "the table has no column `3`"),
            ("value: x, header: false", "the table has no column `x`"),
            ("value: '0', header: false", "the table has no column `0`"),
            ("value: x, skip: -1", "-1 is out of range"),
        ] {
            let found = format(&format!("{{format: table, name: a, {more}}}")).unwrap_err();
            assert!(found.contains(&expected.to_owned()), "{more}: {found:?}");
        }
    }

    #[test]
    fn a_wide_header_and_many_lines_take_no_time() {
        let header: String = (0..200_000).map(|i| format!("c{i} ")).collect();
        let output = format!("{header}\n{}", "1\n".repeat(200_000));
        assert_eq!(samples("value: c0, reduce: sum", &output), "a 200000");
        assert_eq!(
            message("{format: table, name: a, value: c199999}", output),
            "there is no column `c199999` in line 2 of its output"
        );
    }
}
