//! Flags of the access log.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum, builder::FalseyValueParser};
use launcher_proxy::AccessLogFormat;

#[derive(Args, Debug)]
pub(super) struct AccessLogArgs {
    /// A file that gets a line for each request of a visitor, or - for standard output. On SIGHUP the
    /// file is opened anew. None without it.
    #[arg(long, env = "LAUNCHER_ACCESS_LOG", value_name = "FILE|-")]
    access_log: Option<PathBuf>,

    /// How those lines look.
    #[arg(
        long,
        env = "LAUNCHER_ACCESS_LOG_FORMAT",
        value_enum,
        default_value_t = Format::Combined
    )]
    access_log_format: Format,

    /// Have queries in those lines, which may hold secrets, also those of referrers.
    #[arg(
        long,
        env = "LAUNCHER_ACCESS_LOG_QUERY",
        action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new()
    )]
    access_log_query: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Apache's combined format
    Combined,
    /// An object of JSON in each line
    Json,
}

/// The same, checked.
#[derive(Clone, Debug)]
pub(crate) struct AccessLogConfig {
    pub(crate) place: AccessLogPlace,
    pub(crate) format: AccessLogFormat,
    pub(crate) with_query: bool,
}

/// Where lines go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AccessLogPlace {
    StandardOutput,
    File(PathBuf),
}

impl AccessLogArgs {
    pub(super) fn check(self) -> Option<AccessLogConfig> {
        let place = match self.access_log? {
            path if path.as_os_str() == "-" => AccessLogPlace::StandardOutput,
            path => AccessLogPlace::File(path),
        };
        let format = match self.access_log_format {
            Format::Combined => AccessLogFormat::Combined,
            Format::Json => AccessLogFormat::Json,
        };
        Some(AccessLogConfig {
            place,
            format,
            with_query: self.access_log_query,
        })
    }
}
