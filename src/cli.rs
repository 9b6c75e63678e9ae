//! The command line, nothing else.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::exec::turn::Lock;

/// Runs a host's custom checks and drops their results, proven harmless, as .prom files where node_exporter's
/// textfile collector picks them up.
///
/// Collectors are YAML files in collectors.d, one file a collector. Started by cron or a systemd timer, `promdrop
/// run` runs those that are due and publishes each one's numbers as NAME.prom in the textfile directory.
#[derive(Debug, Parser)]
#[command(
    name = "promdrop",
    version,
    after_help = "Exit status: 0 good, 1 ran but something failed, 2 usage or configuration.\n\
                  Manuals: promdrop(8), promdrop.yaml(5)."
)]
pub struct Cli {
    /// Where things are.
    #[command(flatten)]
    pub places: Places,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the command line. What neither it nor the environment says is as the variables `defaults` say.
    ///
    /// # Errors
    /// For wrong arguments; and for help and version, which are its text.
    pub fn read(defaults: &[(String, String)]) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        for (variable, value) in defaults {
            let argument =
                command.get_arguments().find(|argument| argument.get_env() == Some(variable.as_ref()));
            if let Some(id) = argument.map(|argument| argument.get_id().clone()) {
                let value = value.clone();
                command = command.mut_arg(id, |argument| argument.default_value(value));
            }
        }
        let mut matches = command.try_get_matches_from_mut(std::env::args_os())?;
        Self::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
    }
}

/// The two directories and node_exporter; each also an environment variable, which `/etc/default/promdrop` may set.
#[derive(Debug, Args)]
pub struct Places {
    /// Where the .prom files go: node_exporter's --collector.textfile.directory
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "PROMDROP_TEXTFILE_DIR",
        default_value = TEXTFILE_DIR
    )]
    pub textfile_dir: PathBuf,
    /// Where the collector definitions are
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "PROMDROP_COLLECTORS_DIR",
        default_value = "/etc/promdrop/collectors.d"
    )]
    pub collectors_dir: PathBuf,
    /// Where node_exporter serves its metrics; asked only where a name may be its optional collectors'
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "PROMDROP_NODE_EXPORTER",
        default_value = NODE_EXPORTER
    )]
    pub node_exporter: String,
}

/// The variables that say where things are: those of [`Places`].
pub const VARIABLES: [&str; 3] =
    ["PROMDROP_TEXTFILE_DIR", "PROMDROP_COLLECTORS_DIR", "PROMDROP_NODE_EXPORTER"];

/// Debian's textfile directory, promdrop's where nobody says otherwise.
pub const TEXTFILE_DIR: &str = "/var/lib/prometheus/node-exporter";

/// Where node_exporter serves its metrics where nobody says otherwise.
pub const NODE_EXPORTER: &str = "http://127.0.0.1:9100/metrics";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the collectors that are due, or the named ones, and publish their numbers
    ///
    /// Each collector runs on its own: one that fails, hangs or floods is ended at its timeout, its health says why,
    /// and the others are published all the same. Prints when a collector's result changes, and hourly while it
    /// fails; on a terminal, or for named collectors, always.
    /// While a slow one runs, the others' slots are served all the same.
    #[command(after_help = "Example, from cron:\n  * * * * *  root  promdrop run --every 15s --for 1m")]
    Run(Run),
    /// Run one collector, publish nothing, and show what it saw
    Test {
        /// The collector
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Check exposition text from stdin and publish it as NAME.prom
    ///
    /// What would harm a scrape is refused with its line, and the file that was there before stands.
    #[command(after_help = "Example:\n  backup-facts | promdrop write backup --max-age 25h")]
    Write(Write),
    /// Publish exposition text from stdin as a Pushgateway's group
    ///
    /// Takes what was piped to curl: replaces the families of the same names in the group, with the group's labels on
    /// every sample. GROUP is the path that was pushed to, with or without the rest of the URL; `instance` is left to
    /// the scrape where it is this host's name.
    #[command(after_help = "Example, for what ended in `| curl --data-binary @- \
                            http://gateway:9091/metrics/job/backup/instance/$h`:\n  \
                            myscript | promdrop push job/backup/instance/$h --max-age 25h")]
    Push(Push),
    /// Run a job as it is, and publish how it went
    ///
    /// Its stdin, stdout, stderr, signals, terminal and exit status are its own. What fails of promdrop's neither fails
    /// nor delays it: a line on stderr says so. What it writes to the file $PROMDROP_OUTPUT is published with the rest.
    #[command(
        after_help = "Example, in a crontab:\n  0 3 * * *  promdrop exec --quiet-success --expect-every 1d backup -- backup --all"
    )]
    Exec(Exec),
    /// Check collector definitions without running anything
    ///
    /// Prints every problem of every file as path:line:col with the source line and the cure.
    #[command(
        after_help = "As a check before a file lands (Ansible):\n  validate: promdrop check --name ping %s"
    )]
    Check {
        /// Definitions, or directories of them [default: the collectors directory]
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// The name a file will have, where its own is a temporary one
        #[arg(long, value_name = "STEM")]
        name: Option<String>,
    },
    /// Show each collector: its last result and why, its age, its series, when it is due next
    ///
    /// And each other file of promdrop's. Nothing is run, written or locked: any user may look.
    /// Exit status: 1 where anything failed or is stale.
    #[command(
        after_help = "Example, for a script:\n  promdrop status --json | jq '.collectors[] | select(.failed).name'"
    )]
    Status {
        /// Print one JSON document for a program
        #[arg(long)]
        json: bool,
    },
    /// Follow the whole way of the numbers on this host, and say what is broken and how to mend it
    ///
    /// From the definitions by the directory, the timer or cron line and node_exporter to a scrape of it in which what
    /// promdrop published really appears. Nothing is run or changed; as root it sees most.
    /// Exit status: 1 where something is broken.
    #[command(after_help = "Example, when numbers are missing:\n  sudo promdrop doctor")]
    Doctor {
        /// Print one JSON document for a program
        #[arg(long)]
        json: bool,
    },
    /// Remove what no definition claims any more, and what is past its age
    ///
    /// Every run does so too. Files of others, of other collectors directories, and of definitions that can't be
    /// loaded stay.
    #[command(after_help = "When the package is removed:\n  promdrop prune --all")]
    Prune {
        /// Remove everything that is promdrop's, whatever collectors directory it is of
        #[arg(long)]
        all: bool,
        /// Say what would go, and leave it
        #[arg(long, conflicts_with = "all")]
        dry_run: bool,
    },
    /// Check .prom files: would any node_exporter reject or distort one, or die of it?
    ///
    /// A directory is checked as a whole, with its entries' kinds and modes and what its files contradict each other in;
    /// a file, of any name, for itself. Prints each problem with the source line, what would happen and the cure;
    /// nothing where all is good. Advice on style fails only with --strict.
    #[command(after_help = "Example, before a script's output is published:\n  myscript | promdrop lint -")]
    Lint {
        /// Files, directories of .prom files, or - for stdin [default: the textfile directory]
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Print one JSON document for a program, problems or not
        #[arg(long)]
        json: bool,
        /// Let advice fail too
        #[arg(long)]
        strict: bool,
    },
    /// Print what takes the place of a crontab: collectors, and lines with promdrop exec and push
    ///
    /// Lines that differ in a leading sleep alone become one collector; a script that ends in a push to a Pushgateway
    /// becomes one that prints. What can't be translated stays as it is, with a comment that says why. Nothing is
    /// changed. Exit status: 1 where a line is none of a crontab.
    #[command(
        after_help = "Example, of a user's crontab:\n  crontab -l -u bob | promdrop migrate --user bob"
    )]
    Migrate(Migrate),
    /// Print a script by which a shell completes promdrop's commands and options
    ///
    /// Debian's package brings those of bash, fish and zsh.
    #[command(after_help = "Example, for one user of bash:\n  \
                            promdrop completions bash > ~/.local/share/bash-completion/completions/promdrop")]
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
}

/// What `promdrop run` is told.
#[derive(Debug, Args)]
pub struct Run {
    /// Collectors to run now, due or not [default: all that are due]
    #[arg(value_name = "NAME", conflicts_with_all = ["every", "length"])]
    pub names: Vec<String>,
    /// Look for what is due again and again, at the clock's multiples of this
    #[arg(long, value_name = "DURATION", requires = "length")]
    pub every: Option<String>,
    /// For so long; what runs then is waited for
    #[arg(long = "for", value_name = "DURATION", requires = "every")]
    pub length: Option<String>,
    /// At most so many collectors at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub jobs: u16,
    /// Then scrape the node_exporter there, and publish whether all that promdrop published is in it
    #[arg(long, value_name = "URL")]
    pub verify: Option<String>,
}

/// What `promdrop write` is told.
#[derive(Debug, Args)]
pub struct Write {
    /// The file's name, without `.prom`
    #[arg(value_name = "NAME")]
    pub name: String,
    /// A label for every sample; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub labels: Vec<String>,
    /// Remove the file when it has got so old [default: never]
    #[arg(long, value_name = "DURATION")]
    pub max_age: Option<String>,
    /// Publish input without samples too, in the place of what was there
    #[arg(long)]
    pub allow_empty: bool,
    /// Take over a file of this name that another program wrote
    #[arg(long)]
    pub adopt: bool,
}

/// What `promdrop push` is told.
#[derive(Debug, Args)]
pub struct Push {
    /// The group: job/JOB[/LABEL/VALUE]..., with URL escapes, LABEL@base64/VALUE, or a whole URL
    #[arg(value_name = "GROUP")]
    pub group: String,
    /// Replace all families of the group, as PUT does
    #[arg(long)]
    pub replace: bool,
    /// Delete the group, and read nothing, as DELETE does
    #[arg(long, conflicts_with_all = ["replace", "max_age"])]
    pub delete: bool,
    /// Forget the group when nothing was pushed for so long [default: never]
    #[arg(long, value_name = "DURATION")]
    pub max_age: Option<String>,
}

/// What `promdrop exec` is told.
#[derive(Debug, Args)]
pub struct Exec {
    /// End the job, and all that descends from it, when it has taken so long [default: never]
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// What to do while the last run still goes on [default: start the job all the same]
    #[arg(long, value_name = "HOW")]
    pub lock: Option<Lock>,
    /// Remove what is told of the job when its last run is so long ago [default: never]
    #[arg(long, value_name = "DURATION")]
    pub max_age: Option<String>,
    /// How often the job should succeed, for an alert
    #[arg(long, value_name = "DURATION")]
    pub expect_every: Option<String>,
    /// A label for every sample; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub labels: Vec<String>,
    /// Hold back what the job writes, and release it only if it fails
    #[arg(long)]
    pub quiet_success: bool,
    /// Publish a histogram of how long runs take, with these upper bounds: 1s,10s,1m
    #[arg(long, value_name = "LIST")]
    pub buckets: Option<String>,
    /// The job's name
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The job and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    pub command: Vec<OsString>,
}

/// What `promdrop migrate` is told.
#[derive(Debug, Args)]
pub struct Migrate {
    /// The crontab, or - for stdin [default: stdin]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// It has a field for the user, as /etc/crontab and the files of /etc/cron.d have, which are known by their path
    #[arg(long)]
    pub system: bool,
    /// Whose crontab it is [default: of a file in /var/spool/cron, its name]
    #[arg(long, value_name = "USER", conflicts_with = "system")]
    pub user: Option<String>,
    /// Write the collectors into this directory, and print only the crontab; no file is overwritten
    #[arg(long, value_name = "DIR")]
    pub write: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_are_those_of_the_options() {
        let command = Cli::command();
        let named: Vec<_> = command.get_arguments().filter_map(|argument| argument.get_env()).collect();
        assert_eq!(named, VARIABLES);
    }
}
