//! Records: what most formats make of output, before [`mapping`](super::mapping) makes families of it.

use std::borrow::Cow;
use std::fmt;

use super::Unreadable;
use crate::config::yaml::Wrong;

/// A format that cuts output into records. Pure.
pub trait Records: Send + Sync + fmt::Debug {
    /// What a field is called in messages: "group", "column".
    fn noun(&self) -> &'static str;

    /// What is wrong with `field` as the name of one.
    ///
    /// # Errors
    /// Where no record can ever have it.
    fn check_field(&self, field: &str) -> Result<(), Wrong>;

    /// The fields that are labels of their names where a metric doesn't say which.
    fn own_labels(&self) -> &[String] {
        &[]
    }

    /// Hands every record of `output` to `take`, in order.
    ///
    /// # Errors
    /// Where `output` is not of this format, or `take` says so.
    fn each(&self, output: &str, take: &mut Take<'_>) -> Result<(), Unreadable>;
}

/// Stands for records whose own keys are wrong: their fields can't be judged.
#[derive(Debug)]
pub struct Unknown;

impl Records for Unknown {
    fn noun(&self) -> &'static str {
        ""
    }

    fn check_field(&self, _: &str) -> Result<(), Wrong> {
        Ok(())
    }

    fn each(&self, _: &str, _: &mut Take<'_>) -> Result<(), Unreadable> {
        Ok(())
    }
}

/// Takes a record.
pub type Take<'a> = dyn FnMut(&dyn Record) -> Result<(), Unreadable> + 'a;

/// One record.
pub trait Record {
    /// Where it stands, in words that hold no byte of the output: "line 3 of its output".
    fn place(&self) -> Cow<'static, str>;

    /// What stands there, of `field` where that has a place of its own; for the operator's eyes only.
    fn quote(&self, field: &str) -> String;

    /// The text of a field.
    fn field(&self, name: &str) -> Found<'_>;
}

/// A field as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'a> {
    /// Its text.
    Text(Cow<'a, str>),
    /// Something that is not one value: "a list".
    Other(&'static str),
    /// There is none of that name.
    Missing,
}

impl<'a> Found<'a> {
    /// A text, or that it is missing.
    pub fn or_missing(text: Option<&'a str>) -> Self {
        text.map_or(Found::Missing, |text| Found::Text(Cow::Borrowed(text)))
    }
}

/// Where line `number`, from 1, is.
pub fn line_place(number: usize) -> Cow<'static, str> {
    Cow::Owned(format!("line {number} of its output"))
}
