//! Terminals in instances' containers.

use std::sync::Arc;

use ddp_server::{
    Error,
    ejson::{Fields, Value},
    fields,
};
use launcher_core::{Launcher, engine::TerminalSize, terminals::TerminalOrder};

use super::{
    arguments::Arguments,
    errors::{bad_request, from_core},
    publications::date,
};
use crate::exec::path;

/// Most words of a command, and bytes of all of them.
const MAX_WORDS: usize = 100;
const MAX_COMMAND: usize = 16 * 1024;
/// Most lines of a terminal, and characters in one.
const MAX_SIZE: f64 = 1_000.0;

/// `execOpen(instanceId, {command, tty, cols, rows, replica})`
pub(super) async fn open(launcher: Arc<Launcher>, arguments: Arguments) -> Result<Fields, Error> {
    let instance = arguments.instance_id()?.to_owned();
    may_open(&arguments, &instance)?;
    let order = TerminalOrder {
        instance,
        replica: arguments.replica(1)?,
        command: command(arguments.option(1, "command")?)?,
        tty: tty(&arguments)?,
        peer: arguments.peer().map(str::to_owned),
    };
    let offered = launcher.terminals().offer(order).map_err(refused)?;
    let (ticket, expires_at) = offered;
    let url = arguments.url(&path(&ticket));
    // http → ws, https → wss
    let url = match url.strip_prefix("http") {
        Some(rest) => format!("ws{rest}"),
        None => url,
    };
    Ok(fields! { "url": url, "ticket": ticket, "expiresAt": date(expires_at) })
}

/// Whether a caller may run programs in this instance's containers. That will be operators; as long
/// as there are no accounts, everybody who reaches the control port is one.
fn may_open(_caller: &Arguments, _instance: &str) -> Result<(), Error> {
    Ok(())
}

fn refused(error: launcher_core::Error) -> Error {
    match error {
        launcher_core::Error::TooManyTerminals(_) => {
            Error::new("too-many-requests", "Too many terminals").details(error.to_string())
        }
        error => from_core(&error),
    }
}

fn command(option: Option<&Value>) -> Result<Vec<String>, Error> {
    let Some(option) = option else {
        return Ok(vec!["/bin/sh".to_owned()]);
    };
    let words = option.as_array().and_then(|words| {
        let words = words.iter().map(|word| word.as_str().map(str::to_owned));
        words.collect::<Option<Vec<String>>>()
    });
    let fits = |words: &Vec<String>| {
        let bytes: usize = words.iter().map(String::len).sum();
        let begins = words.first().is_some_and(|program| !program.is_empty());
        begins
            && words.len() <= MAX_WORDS
            && bytes <= MAX_COMMAND
            && !words.iter().any(|word| word.contains('\0'))
    };
    words.filter(fits).ok_or_else(|| {
        bad_request(format!(
            "The command option must be an array of strings, a program and its arguments, such as \
             [\"/bin/sh\"]: at most {MAX_WORDS}, and {MAX_COMMAND} bytes together."
        ))
    })
}

fn tty(arguments: &Arguments) -> Result<Option<TerminalSize>, Error> {
    let wanted = match arguments.option(1, "tty")? {
        None => false,
        Some(option) => option
            .as_bool()
            .ok_or_else(|| bad_request("The tty option must be true or false."))?,
    };
    let number = |name, default| {
        let option = arguments.option(1, name)?;
        Ok::<_, Error>(option.map_or(default, |option| option.as_f64().unwrap_or(f64::NAN)))
    };
    let size = terminal_size(number("cols", 80.0)?, number("rows", 24.0)?).ok_or_else(|| {
        bad_request("The cols and rows options must be whole numbers from 1 to 1000.")
    })?;
    Ok(wanted.then_some(size))
}

/// A size that a terminal may have.
pub(crate) fn terminal_size(cols: f64, rows: f64) -> Option<TerminalSize> {
    let fits = |n: f64| n.fract() == 0.0 && (1.0..=MAX_SIZE).contains(&n);
    (fits(cols) && fits(rows)).then_some(TerminalSize {
        // Exact: checked above.
        cols: cols as u16,
        rows: rows as u16,
    })
}
