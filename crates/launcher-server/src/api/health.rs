//! The option `health` of launches and deployments, and how it is published.

use std::time::Duration;

use ddp_server::{Error, ejson::Value, object};
use launcher_core::{
    environment::MASK,
    health::{HealthSettings, InvalidHealth},
};

use super::errors::bad_request;

/// Longest time that is read, in milliseconds; which ones are allowed is decided elsewhere.
const MAX_MILLIS: f64 = 1e12;

/// Reads the option; what it leaves out has its default. Fields that are not known are ignored.
pub(super) fn parse(option: &Value) -> Result<HealthSettings, Error> {
    if option.as_object().is_none() {
        return Err(bad_request(
            "You must pass the health option set to an object, such as {kind: \"http\", path: \
             \"/up\"}.",
        ));
    }
    let default = HealthSettings::default();
    let settings = HealthSettings {
        kind: match text(option, "kind", InvalidHealth::Kind)? {
            Some(kind) => kind.parse().map_err(refused)?,
            None => default.kind,
        },
        path: text(option, "path", InvalidHealth::Path)?.map(str::to_owned),
        interval: time(option, "interval")?.unwrap_or(default.interval),
        timeout: time(option, "timeout")?.unwrap_or(default.timeout),
        start_period: time(option, "startPeriod")?.unwrap_or(default.start_period),
        restart_after: restart_after(option, default.restart_after)?,
    };
    settings.check().map_err(refused)?;
    Ok(settings)
}

/// What everybody may know of it: of the path no query, in which there may be a secret.
pub(super) fn to_value(settings: &HealthSettings) -> Value {
    let path = settings
        .path
        .as_deref()
        .map(|path| match path.split_once('?') {
            Some((path, _query)) => format!("{path}?{MASK}"),
            None => path.to_owned(),
        });
    object! {
        "kind": settings.kind.as_str(),
        "path": path,
        "intervalMs": millis(settings.interval),
        "timeoutMs": millis(settings.timeout),
        "startPeriodMs": millis(settings.start_period),
        "restartAfterMs": settings.restart_after.map(millis),
    }
}

fn text<'a>(
    option: &'a Value,
    name: &str,
    invalid: InvalidHealth,
) -> Result<Option<&'a str>, Error> {
    match option.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(refused(invalid)),
    }
}

/// `null` and 0 are never, which is no default.
fn restart_after(option: &Value, default: Option<Duration>) -> Result<Option<Duration>, Error> {
    let name = "restartAfter";
    if given(option, name).is_none() {
        return Ok(default);
    }
    let time = time(option, name)?;
    Ok(time.filter(|time| !time.is_zero()))
}

fn time(option: &Value, name: &str) -> Result<Option<Duration>, Error> {
    let number = match given(option, name) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_f64(),
    };
    let is_whole = |n: &f64| n.fract() == 0.0 && (0.0..=MAX_MILLIS).contains(n);
    let millis = number.filter(is_whole).ok_or_else(|| {
        bad_request(format!(
            "In the health option, {name} must be a whole number of milliseconds."
        ))
    })?;
    Ok(Some(Duration::from_millis(millis as u64)))
}

/// `intervalMs`, or `interval` where that is not there.
fn given<'a>(option: &'a Value, name: &str) -> Option<&'a Value> {
    let full = option.get(&format!("{name}Ms"));
    full.or_else(|| option.get(name))
}

fn refused(invalid: InvalidHealth) -> Error {
    bad_request(format!("In the health option, {invalid}."))
}

fn millis(time: Duration) -> f64 {
    time.as_millis() as f64
}

#[cfg(test)]
mod tests {
    use launcher_core::health::HealthKind;

    use super::*;

    fn parsed(json: &str) -> Result<HealthSettings, String> {
        let option = ddp_server::ejson::parse(json).unwrap();
        parse(&option).map_err(|error| {
            assert_eq!(error.reason(), Some("Bad request"));
            let details = error.details_value().and_then(Value::as_str);
            details.unwrap().to_owned()
        })
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let default = HealthSettings::default();
        assert_eq!(parsed("{}"), Ok(default.clone()));
        let nulls = r#"{"kind": null, "path": null, "interval": null, "timeoutMs": null}"#;
        assert_eq!(parsed(nulls), Ok(default));
    }

    #[test]
    fn times_have_two_names() {
        let settings = HealthSettings {
            kind: HealthKind::Http,
            path: Some("/up?a=1".into()),
            interval: Duration::from_secs(2),
            timeout: Duration::from_millis(300),
            start_period: Duration::ZERO,
            restart_after: Some(Duration::from_secs(60)),
        };
        let full = r#"{"kind": "http", "path": "/up?a=1", "intervalMs": 2000, "timeoutMs": 300,
            "startPeriodMs": 0, "restartAfterMs": 60000}"#;
        assert_eq!(parsed(full), Ok(settings.clone()));
        let short = full.replace("Ms\"", "\"");
        assert_eq!(parsed(&short), Ok(settings.clone()));
        let published = to_value(&settings);
        let text = ddp_server::ejson::to_json_value(&published).to_string();
        assert_eq!(
            text,
            r#"{"kind":"http","path":"/up?********","intervalMs":2000,"timeoutMs":300,"startPeriodMs":0,"restartAfterMs":60000}"#
        );
    }

    #[test]
    fn never_is_null_or_0() {
        for json in [
            r#"{"restartAfter": null}"#,
            r#"{"restartAfterMs": null}"#,
            r#"{"restartAfterMs": 0}"#,
        ] {
            let settings = parsed(json).unwrap();
            assert_eq!(settings.restart_after, None, "{json}");
            assert_eq!(
                to_value(&settings).get("restartAfterMs"),
                Some(&Value::Null)
            );
        }
    }

    #[test]
    fn each_refusal_says_what_it_should_be() {
        for (json, words) in [
            (r#""http""#, "health option set to an object"),
            ("[]", "health option set to an object"),
            (
                r#"{"kind": "ftp"}"#,
                "health option, kind must be \"auto\",",
            ),
            (r#"{"kind": 1}"#, "health option, kind must be"),
            (r#"{"path": "up"}"#, "path must begin with"),
            (r#"{"path": 5}"#, "path must begin with"),
            (r#"{"path": "/a\r\nHost: b"}"#, "path must begin with"),
            (r#"{"interval": 10}"#, "interval must be from 1,000 ms"),
            (
                r#"{"intervalMs": "10s"}"#,
                "interval must be a whole number",
            ),
            (r#"{"timeout": 0.5}"#, "timeout must be a whole number"),
            (r#"{"timeout": -1}"#, "timeout must be a whole number"),
            (r#"{"timeout": 1e300}"#, "timeout must be a whole number"),
            (r#"{"timeout": 90000}"#, "timeout must be from 100 ms"),
            (r#"{"startPeriod": 1e9}"#, "startPeriod must be from 0 ms"),
            (r#"{"restartAfter": 5}"#, "restartAfter must be from"),
        ] {
            let refused = parsed(json).unwrap_err();
            assert!(refused.contains(words), "{json}: {refused}");
        }
    }
}
