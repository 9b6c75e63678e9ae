//! The five time fields of a crontab line, and the rhythm that they make.

/// The minutes at which a job starts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Schedule {
    /// A bit for each minute of the hour, and so on.
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether the field begins with `*`: cron then asks for both days, else for either.
    any_day: bool,
    any_weekday: bool,
}

/// Whole minutes from one start to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// The fewest.
    pub shortest: u64,
    /// The most.
    pub longest: u64,
}

impl Rhythm {
    /// The minutes of a schedule that is regular.
    pub fn regular(self) -> Option<u64> {
        (self.shortest == self.longest).then_some(self.longest)
    }
}

/// What is wrong in a field, and at which of its characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Characters before it.
    pub at: usize,
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub cure: String,
}

/// One of the five fields: what it is called and may hold.
#[derive(Debug)]
pub struct Unit {
    /// Its name in messages.
    pub name: &'static str,
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The fields in their order.
pub const UNITS: [Unit; 5] = [
    Unit { name: "minute", low: 0, high: 59, names: &[] },
    Unit { name: "hour", low: 0, high: 23, names: &[] },
    Unit { name: "day of the month", low: 1, high: 31, names: &[] },
    Unit { name: "month", low: 1, high: 12, names: MONTHS },
    Unit { name: "day of the week", low: 0, high: 7, names: WEEKDAYS },
];

impl Unit {
    /// The bits of `text`.
    ///
    /// # Errors
    /// What can't be understood. Stricter than cron, which passes over what follows a number: of `1~5` it takes the 1.
    pub fn read(&self, text: &str) -> Result<u64, Fault> {
        let mut bits = 0;
        let mut at = 0;
        for item in text.split(',') {
            bits |= self.item(item).map_err(|fault| Fault { at: fault.at + at, ..fault })?;
            at += item.chars().count() + 1;
        }
        // Sunday is 0 and 7.
        Ok(if self.high == 7 { (bits | bits >> 7) & 0x7f } else { bits })
    }

    /// Whether a cron may take `text`, otherwise than it looks: Debian's takes the 1 of `1~5`, that of others a random
    /// minute, and none of an empty range.
    pub fn tolerates(&self, text: &str) -> bool {
        text.split(',').all(|item| {
            let is_pair = item.split_once(['~', '-']).is_some_and(|(low, high)| {
                self.value(low, 0).is_ok()
                    && (high.is_empty() || self.value(high, 0).is_ok())
                    && !item.ends_with('-')
            });
            is_pair || self.item(item).is_ok()
        })
    }

    fn item(&self, item: &str) -> Result<u64, Fault> {
        let (range, step) = match item.split_once('/') {
            None => (item, 1),
            Some((range, step)) => {
                let at = range.chars().count() + 1;
                let fault = || self.fault(at, format!("{step:?} is no step"), "a step is a number from 1 on");
                (range, number(step).filter(|step| *step > 0).ok_or_else(fault)?)
            }
        };
        let (low, high) = match range.split_once('-') {
            _ if range == "*" => (self.low, self.high),
            Some((low, high)) => {
                let first = self.value(low, 0)?;
                let last = self.value(high, low.chars().count() + 1)?;
                // Friday to Sunday.
                let last = if self.high == 7 && last == 0 && first > 0 { 7 } else { last };
                if first > last {
                    let message = format!("the range {range:?} ends before it begins, so it is empty");
                    return Err(self.fault(0, message, "write it as two ranges, with a comma between them"));
                }
                (first, last)
            }
            None if item.contains('/') => {
                let cure = format!("write `{range}-{}/{step}`, or `*/{step}`", self.high);
                return Err(self.fault(range.chars().count(), "a step is of a range".to_owned(), &cure));
            }
            None => {
                let only = self.value(range, 0)?;
                (only, only)
            }
        };
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        Ok((low..=high).step_by(step).fold(0, |bits, value| bits | 1 << value))
    }

    fn value(&self, text: &str, at: usize) -> Result<u32, Fault> {
        let named = self.names.iter().zip(self.low..).find(|(name, _)| name.eq_ignore_ascii_case(text));
        let value = named.map(|(_, value)| value).or_else(|| number(text));
        value.filter(|value| (self.low..=self.high).contains(value)).ok_or_else(|| {
            let or_name =
                self.names.first().map_or_else(String::new, |name| format!(", or a name such as {name}"));
            let cure =
                format!("write numbers from {} to {}{or_name}; a list, a range or `*`", self.low, self.high);
            self.fault(at, format!("{text:?} is no {}", self.name), &cure)
        })
    }

    fn fault(&self, at: usize, message: String, cure: &str) -> Fault {
        Fault { at, message, cure: cure.to_owned() }
    }
}

fn number(text: &str) -> Option<u32> {
    // Rust's parser would take a sign.
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

impl Schedule {
    /// The schedule of five fields, each with what is wrong in it.
    ///
    /// # Errors
    /// The fields that are wrong, by their place.
    pub fn read(fields: [&str; 5]) -> Result<Self, Vec<(usize, Fault)>> {
        let mut faults = Vec::new();
        let mut bits = [0; 5];
        for (place, ((unit, text), bits)) in UNITS.iter().zip(fields).zip(&mut bits).enumerate() {
            match unit.read(text) {
                Ok(read) => *bits = read,
                Err(fault) => faults.push((place, fault)),
            }
        }
        let [minutes, hours, days, months, weekdays] = bits;
        let [_, _, day, _, weekday] = fields;
        let (any_day, any_weekday) = (day.starts_with('*'), weekday.starts_with('*'));
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self { minutes, hours, days, months, weekdays, any_day, any_weekday })
    }

    /// What a word such as `@daily` stands for; `@reboot` is none of them.
    pub fn of_word(word: &str) -> Option<Self> {
        let fields = match word {
            "@yearly" | "@annually" => ["0", "0", "1", "1", "*"],
            "@monthly" => ["0", "0", "1", "*", "*"],
            "@weekly" => ["0", "0", "*", "*", "0"],
            "@daily" | "@midnight" => ["0", "0", "*", "*", "*"],
            "@hourly" => ["0", "*", "*", "*", "*"],
            _ => return None,
        };
        Self::read(fields).ok()
    }

    /// The first minute of an hour that it has.
    pub fn first_minute(&self) -> u64 {
        u64::from(self.minutes.trailing_zeros())
    }

    /// The shortest and the longest time between two starts, in a year of 24-hour days; `None` where there are no two.
    pub fn rhythm(&self) -> Option<Rhythm> {
        let minutes: Vec<u64> =
            (0..24 * 60).filter(|at| has(self.hours, at / 60) && has(self.minutes, at % 60)).collect();
        let (first, last) = (*minutes.first()?, *minutes.last()?);
        let within = minutes.windows(2).filter_map(|pair| Some(pair.last()? - pair.first()?));
        let days = self.starting_days();
        let between =
            days.windows(2).filter_map(|pair| Some((pair.last()? - pair.first()?) * 24 * 60 + first - last));
        let gaps: Vec<u64> = within.chain(between).collect();
        Some(Rhythm { shortest: *gaps.iter().min()?, longest: *gaps.iter().max()? })
    }

    /// The days of some years, counted from one, on which it starts.
    fn starting_days(&self) -> Vec<u64> {
        // Leap years and weekdays come in every combination within 28 years.
        let mut days = Vec::new();
        let mut day = 0;
        for year in 2001..2001 + 28 {
            for (month, length) in (1..).zip(lengths(year % 4 == 0)) {
                for date in 1..=length {
                    // 2001 began on a Monday.
                    let weekday = has(self.weekdays, (day + 1) % 7);
                    let dated = has(self.days, date);
                    let both = self.any_day || self.any_weekday;
                    let starts = if both { weekday && dated } else { weekday || dated };
                    if starts && has(self.months, month) {
                        days.push(day);
                    }
                    day += 1;
                }
            }
        }
        days
    }
}

fn has(bits: u64, value: u64) -> bool {
    bits >> value & 1 == 1
}

fn lengths(is_leap: bool) -> [u64; 12] {
    [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rhythm(text: &str) -> (u64, u64) {
        let fields: Vec<&str> = text.split(' ').collect();
        let schedule = Schedule::read(fields.try_into().unwrap()).unwrap();
        schedule.rhythm().map_or((0, 0), |rhythm| (rhythm.shortest, rhythm.longest))
    }

    #[test]
    fn what_is_regular_has_one_gap() {
        for (text, minutes) in [
            ("* * * * *", 1),
            ("*/5 * * * *", 5),
            ("3-58/5 * * * *", 5),
            ("0,30 * * * *", 30),
            ("7 * * * *", 60),
            ("0-59/70 * * * *", 60),
            ("15 */6 * * *", 360),
            ("7 3 * * *", 1440),
            ("0 0,12 * * *", 720),
            ("0 4 * * 7", 7 * 1440),
            ("0 4 * * sun", 7 * 1440),
            ("0 4 */1 * MON", 7 * 1440),
        ] {
            assert_eq!(rhythm(text), (minutes, minutes), "{text}");
        }
    }

    #[test]
    fn what_is_not_has_a_shortest_and_a_longest() {
        for (text, gaps) in [
            ("*/7 * * * *", (4, 7)),
            ("0 8-18 * * *", (60, 14 * 60)),
            ("0 3 1 * *", (28 * 1440, 31 * 1440)),
            ("0 0 1 1 *", (365 * 1440, 366 * 1440)),
            ("0 0 * * fri-sun", (1440, 5 * 1440)),
            // Both are restricted: either is enough.
            ("0 0 1 * mon", (1440, 7 * 1440)),
            ("0 0 */2 * mon", (7 * 1440, 21 * 1440)),
            ("0 0 29 2 *", (4 * 365 * 1440 + 1440, 4 * 365 * 1440 + 1440)),
            ("0 0 30 2 *", (0, 0)),
        ] {
            assert_eq!(rhythm(text), gaps, "{text}");
        }
    }

    #[test]
    fn each_word_is_its_fields() {
        let of =
            |word| Schedule::of_word(word).and_then(|schedule| schedule.rhythm()).map(|r| r.longest / 60);
        let words =
            ["@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually", "@reboot"];
        let hours = [Some(1), Some(24), Some(24), Some(168), Some(744), Some(8784), Some(8784), None];
        assert_eq!(words.map(of), hours);
    }

    #[test]
    fn what_is_wrong_is_told_at_its_place() {
        for (unit, text, at, message) in [
            (0, "60", 0, "\"60\" is no minute"),
            (0, "", 0, "\"\" is no minute"),
            (0, "1,,2", 2, "\"\" is no minute"),
            (0, "1-60", 2, "\"60\" is no minute"),
            (0, "1~5", 0, "\"1~5\" is no minute"),
            (0, "*/0", 2, "\"0\" is no step"),
            (0, "1,*/x", 4, "\"x\" is no step"),
            (0, "5/10", 1, "a step is of a range"),
            (0, "+5", 0, "\"+5\" is no minute"),
            (1, "5-3", 0, "the range \"5-3\" ends before it begins, so it is empty"),
            (2, "0", 0, "\"0\" is no day of the month"),
            (3, "january", 0, "\"january\" is no month"),
            (4, "8", 0, "\"8\" is no day of the week"),
            (4, "jan", 0, "\"jan\" is no day of the week"),
            (4, "é,x", 0, "\"é\" is no day of the week"),
        ] {
            let fault = UNITS[unit].read(text).unwrap_err();
            assert_eq!((fault.at, fault.message.as_str()), (at, message), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(fields in prop::array::uniform5("[-*/,0-9a-zé]{0,8}")) {
            let [a, b, c, d, e] = &fields;
            if let Ok(schedule) = Schedule::read([a, b, c, d, e]) {
                prop_assert!(schedule.rhythm().is_none_or(|rhythm| 0 < rhythm.shortest));
            }
        }
    }
}
