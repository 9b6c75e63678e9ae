//! What takes the place of a crontab: collectors, `promdrop exec` and `promdrop push`. Pure.
//!
//! ```text
//! crontab text -> lines (crontab) -> entries -> series (stagger, timing) -> plans (program, pushes) -> text (render)
//! ```
//!
//! - [`crontab`] reads the lines, [`schedule`] their time fields.
//! - [`shell`] makes a tree of a command or a script; [`stagger`] tells waiting from running in it.
//! - [`program`] finds the script that a line calls, [`pushes`] and [`curl`] what it pushes.
//! - [`plan`] decides what becomes of each series: a [`collector`], with its script made a printing one by
//!   [`rewrite`], or a [`job`] that stays in the crontab.
//! - [`render`] writes all of it as one text, from which nothing of the crontab is missing.
//!
//! Where one of them doesn't understand something for certain, the line stays as it is, and a comment says why.

pub mod crontab;
pub mod curl;
pub mod names;
pub mod program;
pub mod pushes;
pub mod rewrite;
pub mod schedule;
pub mod shell;
pub mod stagger;
pub mod timing;
mod words;
pub mod yaml;
