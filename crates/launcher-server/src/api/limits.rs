//! The option `limits` of launches and deployments, and how it is published.

use std::ops::RangeInclusive;

use ddp_server::{Error, ejson::Value, object};
use launcher_core::{Limits, limits::Volume};

use super::errors::bad_request;

/// Memory of a container, in bytes: the least is the engine's own.
const MEMORY: RangeInclusive<f64> = 6_291_456.0..=1_125_899_906_842_624.0;
/// The kernel's own limits.
const CPU_SHARES: RangeInclusive<f64> = 2.0..=262_144.0;
const CPUS: RangeInclusive<f64> = 0.01..=10_000.0;
/// The least is what a program beside the init process needs.
const PIDS: RangeInclusive<f64> = 8.0..=4_194_304.0;
const OPEN_FILES: RangeInclusive<f64> = 64.0..=1_048_576.0;
/// The least is what a few lines of the greatest length need.
const LOG_FILE: RangeInclusive<f64> = 100_000.0..=1_000_000_000.0;
const LOG_FILES: RangeInclusive<f64> = 1.0..=20.0;
/// Longest name of a user and of a volume, longest path, and most volumes.
const MAX_USER: usize = 64;
const MAX_VOLUME_NAME: usize = 128;
const MAX_PATH: usize = 512;
const MAX_VOLUMES: usize = 20;

/// Reads the option; what it leaves out has its default. Fields that are not known are ignored.
pub(super) fn parse(option: &Value) -> Result<Limits, Error> {
    if option.as_object().is_none() {
        return Err(refused(
            "it must be an object, such as {memoryBytes: 536870912}",
        ));
    }
    Ok(Limits {
        memory_bytes: whole(option, "memoryBytes", MEMORY)?.map(|n| n as u64),
        cpu_shares: whole(option, "cpuShares", CPU_SHARES)?.map(|n| n as u32),
        cpus: number(option, "cpus", CPUS)?,
        pids: whole(option, "pids", PIDS)?.map(|n| n as u32),
        open_files: whole(option, "openFiles", OPEN_FILES)?.map(|n| n as u32),
        log_file_bytes: whole(option, "logFileBytes", LOG_FILE)?.map(|n| n as u64),
        log_files: whole(option, "logFiles", LOG_FILES)?.map(|n| n as u32),
        read_only: boolean(option, "readOnly")?,
        user: user(option)?,
        volumes: volumes(option)?,
    })
}

/// What is in effect, defaults included.
pub(super) fn to_value(limits: &Limits) -> Value {
    let volumes = limits.volumes.iter().map(|volume| {
        object! {
            "name": volume.name.as_str(),
            "path": volume.path.as_str(),
            "readOnly": volume.read_only,
        }
    });
    object! {
        "memoryBytes": limits.memory_bytes(),
        "cpuShares": limits.cpu_shares(),
        "cpus": limits.cpus,
        "pids": limits.pids(),
        "openFiles": limits.open_files(),
        "logFileBytes": limits.log_file_bytes(),
        "logFiles": limits.log_files(),
        "readOnly": limits.read_only,
        "user": limits.user.as_deref(),
        "volumes": Value::Array(volumes.collect()),
    }
}

fn get<'a>(option: &'a Value, name: &str) -> Option<&'a Value> {
    option.get(name).filter(|value| !value.is_null())
}

fn number(option: &Value, name: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, Error> {
    let Some(value) = get(option, name) else {
        return Ok(None);
    };
    let number = value.as_f64().filter(|number| range.contains(number));
    let (least, most) = range.into_inner();
    number
        .map(Some)
        .ok_or_else(|| refused(&format!("{name} must be a number from {least} to {most}")))
}

fn whole(option: &Value, name: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, Error> {
    match number(option, name, range)? {
        Some(number) if number.fract() != 0.0 => {
            Err(refused(&format!("{name} must be a whole number")))
        }
        number => Ok(number),
    }
}

fn boolean(option: &Value, name: &str) -> Result<bool, Error> {
    match get(option, name).map(Value::as_bool) {
        None => Ok(false),
        Some(Some(value)) => Ok(value),
        Some(None) => Err(refused(&format!("{name} must be true or false"))),
    }
}

fn user(option: &Value) -> Result<Option<String>, Error> {
    let Some(value) = get(option, "user") else {
        return Ok(None);
    };
    let is_part = |part: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        !part.is_empty() && part.chars().all(fits)
    };
    let is_user = |text: &&str| {
        let mut parts = text.split(':');
        text.len() <= MAX_USER && parts.by_ref().take(2).all(is_part) && parts.next().is_none()
    };
    let user = value.as_str().filter(is_user);
    user.map(|user| Some(user.to_owned())).ok_or_else(|| {
        refused("user must be the name or number of a user, with a group after \":\" or without")
    })
}

fn volumes(option: &Value) -> Result<Vec<Volume>, Error> {
    let wrong = || {
        refused(&format!(
            "volumes must be an array of at most {MAX_VOLUMES} objects {{name, path, readOnly}}"
        ))
    };
    let listed = match get(option, "volumes") {
        None => return Ok(Vec::new()),
        Some(value) => value.as_array().filter(|all| all.len() <= MAX_VOLUMES),
    };
    let mut all = Vec::<Volume>::new();
    for one in listed.ok_or_else(wrong)? {
        let volume = volume(one)?;
        if all.iter().any(|other| other.path == volume.path) {
            return Err(refused("two volumes cannot have the same path"));
        }
        all.push(volume);
    }
    Ok(all)
}

fn volume(value: &Value) -> Result<Volume, Error> {
    let name = get(value, "name").and_then(Value::as_str).unwrap_or("");
    if name.contains(['/', '\\']) || name.starts_with(['.', '~']) {
        return Err(refused(
            "a volume must have a name: directories of the host are not allowed",
        ));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && (2..=MAX_VOLUME_NAME).contains(&name.len())
        && name.chars().all(fits);
    if !is_name {
        return Err(refused(&format!(
            "the name of a volume must have from 2 to {MAX_VOLUME_NAME} letters, digits, \"_\", \".\" \
             and \"-\", and begin with a letter or digit"
        )));
    }
    let path = get(value, "path").and_then(Value::as_str).unwrap_or("");
    let is_plain = |path: &str| {
        let mut parts = path.split('/').skip(1);
        parts.all(|part| !matches!(part, "" | "." | ".."))
    };
    let is_path = path.starts_with('/')
        && path.len() <= MAX_PATH
        && is_plain(path)
        && !path.contains([':', '\\'])
        && !path.chars().any(char::is_control);
    if !is_path {
        return Err(refused(
            "the path of a volume must be an absolute path in the container, such as \"/data\"",
        ));
    }
    Ok(Volume {
        name: name.to_owned(),
        path: path.to_owned(),
        read_only: boolean(value, "readOnly")?,
    })
}

fn refused(text: &str) -> Error {
    bad_request(format!("In the limits option, {text}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Limits, String> {
        let value = ddp_server::ejson::parse(json).unwrap();
        parse(&value).map_err(|error| {
            let details = error.details_value().and_then(Value::as_str);
            details.unwrap().to_owned()
        })
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        assert_eq!(read("{}").unwrap(), Limits::default());
        assert_eq!(read(r#"{"pids": null}"#).unwrap(), Limits::default());
        let published = to_value(&Limits::default());
        assert_eq!(
            published.get("memoryBytes").unwrap().as_f64(),
            Some(1073741824.0)
        );
    }

    #[test]
    fn each_limit_is_read() {
        let limits = read(
            r#"{"memoryBytes": 6291456, "cpuShares": 512, "cpus": 0.5, "pids": 64, "openFiles": 256,
                "logFileBytes": 200000, "logFiles": 1, "readOnly": true, "user": "1000:node",
                "volumes": [{"name": "data-1", "path": "/data", "readOnly": true}]}"#,
        );
        let expected = Limits {
            memory_bytes: Some(6_291_456),
            cpu_shares: Some(512),
            cpus: Some(0.5),
            pids: Some(64),
            open_files: Some(256),
            log_file_bytes: Some(200_000),
            log_files: Some(1),
            read_only: true,
            user: Some("1000:node".into()),
            volumes: vec![Volume {
                name: "data-1".into(),
                path: "/data".into(),
                read_only: true,
            }],
        };
        assert_eq!(limits.unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (json, named) in [
            ("5", "must be an object"),
            (r#"{"memoryBytes": 1024}"#, "memoryBytes"),
            (r#"{"memoryBytes": "1g"}"#, "memoryBytes"),
            (r#"{"memoryBytes": 6291456.5}"#, "whole number"),
            (r#"{"cpus": 0}"#, "cpus"),
            (r#"{"pids": 1}"#, "pids"),
            (r#"{"openFiles": 1e9}"#, "openFiles"),
            (
                r#"{"logFileBytes": 99999}"#,
                "logFileBytes must be a number from 100000",
            ),
            (r#"{"logFileBytes": 1e10}"#, "logFileBytes"),
            (
                r#"{"logFiles": 0}"#,
                "logFiles must be a number from 1 to 20",
            ),
            (r#"{"logFiles": 21}"#, "logFiles"),
            (r#"{"logFiles": 1.5}"#, "logFiles"),
            (r#"{"readOnly": 1}"#, "readOnly"),
            (r#"{"user": "a b"}"#, "user"),
            (r#"{"user": "a:b:c"}"#, "user"),
            (r#"{"user": ":0"}"#, "user"),
            (r#"{"volumes": {}}"#, "volumes must be an array"),
            (
                r#"{"volumes": [{"name": "/etc", "path": "/x"}]}"#,
                "directories of the host",
            ),
            (
                r#"{"volumes": [{"name": "..", "path": "/x"}]}"#,
                "directories of the host",
            ),
            (
                r#"{"volumes": [{"name": "", "path": "/x"}]}"#,
                "name of a volume",
            ),
            (
                r#"{"volumes": [{"name": "ab", "path": "x"}]}"#,
                "absolute path",
            ),
            (
                r#"{"volumes": [{"name": "ab", "path": "/"}]}"#,
                "absolute path",
            ),
            (
                r#"{"volumes": [{"name": "ab", "path": "/a/../b"}]}"#,
                "absolute path",
            ),
            (
                r#"{"volumes": [{"name": "ab", "path": "/x"}, {"name": "cd", "path": "/x"}]}"#,
                "same path",
            ),
        ] {
            let refused = read(json).unwrap_err();
            assert!(refused.contains(named), "{json}: {refused}");
        }
    }
}
