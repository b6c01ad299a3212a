//! The options of `launchAppInstance` and `ai/launch`.

use std::net::IpAddr;

use ddp_server::{
    Error,
    ejson::{Fields, Value},
};
use launcher_core::{
    Environment, Hostname, LaunchOptions, Limits, MAX_REPLICAS, Rights, Site, Wait,
    health::HealthSettings,
};

use super::{
    arguments::{MAX_URL, image_name, site, web_url, whole_number},
    container_config,
    errors::bad_request,
    health, limits, wire,
};

const IMAGE: &str = "string name of the docker image to use";
const MONGO_URL: &str = "string MongoDB URL for the app to use";
const ROOT_URL: &str = "string http or https URL at which the app will be reached";

/// Most variables that one instance may have.
const MAX_VARIABLES: usize = 1_000;
/// Longest `NAME=value` in bytes; Linux takes no longer one (`MAX_ARG_STRLEN`).
const MAX_VARIABLE: usize = 128 * 1024 - 1;
/// All variables together, in bytes.
const MAX_ENVIRONMENT: usize = 1024 * 1024;
/// Longest e-mail address, in bytes (RFC 5321 §4.5.3.1).
const MAX_EMAIL: usize = 320;

/// Most hostnames that a launch may name.
const MAX_HOSTNAMES: usize = 1_000;

/// Reads the options object. Options that are not known are ignored, as the old program did.
pub(super) fn parse(options: &Value, rights: Rights) -> Result<LaunchOptions, Error> {
    let options = Options(options);
    options.required("appImage", IMAGE)?;
    options.required("mongoUrl", MONGO_URL)?;
    options.required("rootUrl", ROOT_URL)?;
    read(&options, rights)
}

/// The same where everything that the app is told may be in `env`.
pub(super) fn parse_all_in_env(options: &Value, rights: Rights) -> Result<LaunchOptions, Error> {
    read(&Options(options), rights)
}

fn read(options: &Options<'_>, rights: Rights) -> Result<LaunchOptions, Error> {
    let image = options.required("appImage", IMAGE)?;
    let config = options.get("config");
    let config = config.map(|config| container_config::parse(config, rights));
    let (config, more) = config.transpose()?.unwrap_or_default();
    Ok(LaunchOptions {
        image: image_name("appImage option", image)?,
        env: environment(options, more)?,
        hostnames: hostnames(options)?,
        host: host(options)?,
        auto_deploy: auto_deploy(options)?,
        replicas: replicas(options)?,
        limits: limits(options)?,
        config,
        health: health(options)?,
        wait: wait(options)?,
    })
}

struct Options<'a>(&'a Value);

impl<'a> Options<'a> {
    /// An option that is there; `null` counts as left out.
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn required(&self, name: &str, what: &str) -> Result<&'a str, Error> {
        self.optional(name, what)?.ok_or_else(|| must(name, what))
    }

    fn optional(&self, name: &str, what: &str) -> Result<Option<&'a str>, Error> {
        match self.get(name).map(Value::as_str) {
            None => Ok(None),
            Some(Some(text)) if !text.trim().is_empty() && !text.contains(['\0', '\n', '\r']) => {
                Ok(Some(text))
            }
            Some(_) => Err(must(name, what)),
        }
    }
}

fn hostnames(options: &Options<'_>) -> Result<Vec<Site>, Error> {
    let text = options.optional("hostname", "hostname string, such as \"app.example.com\"")?;
    let first = text.map(site).transpose()?;
    let mut all: Vec<Site> = first.into_iter().map(Site::from).collect();
    let wrong = || {
        bad_request(format!(
            "The hostnames option must be an array of at most {MAX_HOSTNAMES} hostname strings, such \
             as [\"app.example.com\"]."
        ))
    };
    let Some(listed) = options.get("hostnames") else {
        return Ok(all);
    };
    let listed = listed.as_array().filter(|l| l.len() <= MAX_HOSTNAMES);
    for name in listed.ok_or_else(wrong)? {
        let name = site(name.as_str().ok_or_else(wrong)?)?.into();
        if !all.contains(&name) {
            all.push(name);
        }
    }
    if all.len() > MAX_HOSTNAMES {
        return Err(wrong());
    }
    Ok(all)
}

fn host(options: &Options<'_>) -> Result<Option<String>, Error> {
    let what = "name or IP address string under which the app's port can be reached";
    let Some(text) = options.optional("host", what)? else {
        return Ok(None);
    };
    let valid = text.parse::<IpAddr>().is_ok() || Hostname::parse(text).is_ok();
    if valid {
        Ok(Some(text.to_owned()))
    } else {
        Err(must("host", what))
    }
}

fn auto_deploy(options: &Options<'_>) -> Result<bool, Error> {
    match options.get("autoDeploy").map(Value::as_bool) {
        None => Ok(false),
        Some(Some(auto_deploy)) => Ok(auto_deploy),
        Some(None) => Err(bad_request("The autoDeploy option must be true or false.")),
    }
}

fn replicas(options: &Options<'_>) -> Result<u32, Error> {
    let wrong = || {
        bad_request(format!(
            "The replicas option must be from 1 to {MAX_REPLICAS}."
        ))
    };
    match options.get("replicas").map(whole_number) {
        None => Ok(1),
        Some(number) => number
            .filter(|number| (1..=MAX_REPLICAS).contains(number))
            .ok_or_else(wrong),
    }
}

fn health(options: &Options<'_>) -> Result<HealthSettings, Error> {
    let health = options.get("health").map(health::parse).transpose()?;
    Ok(health.unwrap_or_default())
}

fn limits(options: &Options<'_>) -> Result<Limits, Error> {
    let limits = options.get("limits").map(limits::parse).transpose()?;
    Ok(limits.unwrap_or_default())
}

fn wait(options: &Options<'_>) -> Result<Wait, Error> {
    match options.get("wait").map(Value::as_str) {
        None | Some(Some("started")) => Ok(Wait::Started),
        Some(Some("ready")) => Ok(Wait::Ready),
        Some(Some("none")) => Ok(Wait::None),
        _ => Err(bad_request(
            "The wait option must be \"started\", \"ready\" or \"none\".",
        )),
    }
}

/// The options' own variables, then `env` over them, then what `config` says of them.
fn environment(options: &Options<'_>, more: Environment) -> Result<Environment, Error> {
    let mut env = Environment::new();
    if let Some(mongo_url) = options.optional("mongoUrl", MONGO_URL)? {
        if mongo_url.len() > MAX_URL {
            return Err(bad_request(format!(
                "The mongoUrl option has at most {MAX_URL} characters."
            )));
        }
        env.insert("MONGO_URL".into(), mongo_url.into());
    }
    if let Some(root_url) = options.optional("rootUrl", ROOT_URL)? {
        web_url(root_url).ok_or_else(|| must("rootUrl", ROOT_URL))?;
        env.insert("ROOT_URL".into(), root_url.into());
    }
    if let Some(email) = email(options)? {
        env.insert("METEOR_EMAIL".into(), email.into());
    }
    env.extend(variables(options)?);
    env.extend(more);
    check_size(&env)?;
    Ok(env)
}

fn email<'a>(options: &Options<'a>) -> Result<Option<&'a str>, Error> {
    let what = "e-mail address string";
    match options.optional("email", what)? {
        Some(email) if email.len() > MAX_EMAIL => Err(must("email", what)),
        email => Ok(email),
    }
}

fn variables(options: &Options<'_>) -> Result<Environment, Error> {
    let what = "object of environment variables: names with string, number or boolean values";
    let env = match options.get("env").map(Value::as_object) {
        None => return Ok(Environment::new()),
        Some(None) => return Err(must("env", what)),
        Some(Some(env)) => env,
    };
    env.iter()
        .map(|(name, value)| variable(name, value))
        .collect()
}

pub(super) fn variable(name: &str, value: &Value) -> Result<(String, String), Error> {
    if name.is_empty() || name.contains(['=', '\0', '\n', '\r']) || name.len() > 256 {
        return Err(bad_request(
            "The name of each environment variable in the env option must be a string of 1 to 256 \
             characters without \"=\", newlines and null characters.",
        ));
    }
    let text = match (name, value) {
        ("METEOR_SETTINGS", _) => settings(value)?,
        (_, Value::String(text)) => text.clone(),
        (_, Value::Number(_) | Value::Bool(_)) => wire::to_json(value).to_string(),
        _ => return Err(bad_value(name, "a string, number or boolean")),
    };
    if text.contains('\0') {
        return Err(bad_value(name, "without null characters"));
    }
    if name == "PORT" && !text.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err(bad_value(name, "a port number from 1 to 65535"));
    }
    Ok((name.to_owned(), text))
}

/// Meteor reads its settings as JSON: an object is written as such, a string must be such.
fn settings(value: &Value) -> Result<String, Error> {
    let expected = || bad_value("METEOR_SETTINGS", "an object, or a string with JSON");
    match value {
        Value::Object(_) => Ok(wire::to_json(value).to_string()),
        Value::String(text) if serde_json::from_str::<serde_json::Value>(text).is_ok() => {
            Ok(text.clone())
        }
        _ => Err(expected()),
    }
}

pub(super) fn check_size(env: &Environment) -> Result<(), Error> {
    let sizes = || env.iter().map(|(name, value)| name.len() + value.len() + 1);
    if env.len() > MAX_VARIABLES {
        return Err(bad_request(format!(
            "The env option has at most {MAX_VARIABLES} variables."
        )));
    }
    if sizes().any(|size| size > MAX_VARIABLE) || sizes().sum::<usize>() > MAX_ENVIRONMENT {
        return Err(bad_request(format!(
            "An environment variable has at most {MAX_VARIABLE} bytes, all together have at most \
             {MAX_ENVIRONMENT}."
        )));
    }
    Ok(())
}

fn must(name: &str, what: &str) -> Error {
    bad_request(format!(
        "You must pass the {name} option set to the {what}."
    ))
}

fn bad_value(name: &str, what: &str) -> Error {
    let name: String = name.chars().take(100).collect();
    bad_request(format!(
        "The environment variable {name} in the env option must be {what}."
    ))
}

/// The environment as an EJSON object.
pub(super) fn to_fields(env: &Environment) -> Fields {
    env.iter()
        .map(|(name, value)| (name.clone(), Value::from(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use ddp_server::{ejson::Value, object};

    use super::*;

    fn with(extra: &str) -> Value {
        let json = format!(
            r#"{{"appImage": "app", "mongoUrl": "mongodb://db/app", "rootUrl": "http://a.test"{extra}}}"#
        );
        ddp_server::ejson::parse(&json).unwrap()
    }

    fn env(extra: &str) -> Environment {
        parse(&with(extra), Rights::User).unwrap().env
    }

    fn refusal(options: &Value) -> String {
        let error = parse(options, Rights::User).unwrap_err();
        assert_eq!(error.reason(), Some("Bad request"));
        error
            .details_value()
            .and_then(Value::as_str)
            .unwrap()
            .to_owned()
    }

    #[test]
    fn each_required_option_is_asked_for_by_name() {
        assert_eq!(
            refusal(&object! { "mongoUrl": "m" }),
            "You must pass the appImage option set to the string name of the docker image to use.",
        );
        assert!(refusal(&object! { "appImage": "app" }).contains("mongoUrl option"));
        assert!(
            refusal(&object! { "appImage": "app", "mongoUrl": "m" }).contains("rootUrl option")
        );
    }

    #[test]
    fn everything_may_be_in_env_and_hostnames_in_an_array() {
        let read =
            |json: &str| parse_all_in_env(&ddp_server::ejson::parse(json).unwrap(), Rights::User);
        let options =
            r#"{"appImage": "app", "hostnames": ["b.test", "A.test", "a.test"], "env": {"X": 1}}"#;
        let options = read(options).unwrap();
        assert_eq!(options.hostnames.len(), 2);
        assert_eq!(options.env.keys().collect::<Vec<_>>(), ["X"]);
        for wrong in ["\"a.test\"", "[1]", "[\"a b\"]"] {
            assert!(read(&format!(r#"{{"appImage": "app", "hostnames": {wrong}}}"#)).is_err());
        }
        assert!(read("{}").is_err());
    }

    #[test]
    fn env_goes_over_the_options_own_variables() {
        let env =
            env(r#", "email": "a@b.c", "env": {"ROOT_URL": "http://b.test", "N": 1.5, "T": true}"#);
        assert_eq!(env["MONGO_URL"], "mongodb://db/app");
        assert_eq!(env["ROOT_URL"], "http://b.test");
        assert_eq!(env["METEOR_EMAIL"], "a@b.c");
        assert_eq!((env["N"].as_str(), env["T"].as_str()), ("1.5", "true"));
    }

    #[test]
    fn variables_in_config_go_over_all_and_are_the_apps() {
        let config = r#", "env": {"A": "1", "B": "2"}, "config": {"Env": ["B=x=y", "PORT=3000"], "User": "node"}"#;
        let options = parse(&with(config), Rights::User).unwrap();
        let variables = ["A", "B", "PORT"].map(|name| options.env[name].as_str());
        assert_eq!(variables, ["1", "x=y", "3000"]);
        let fields: Vec<&String> = options.config.fields().keys().collect();
        assert_eq!(fields, ["User"]);
    }

    #[test]
    fn meteor_email_is_there_only_when_it_is_given() {
        assert!(!env("").contains_key("METEOR_EMAIL"));
    }

    #[test]
    fn settings_may_be_an_object() {
        let settings = r#", "env": {"METEOR_SETTINGS": {"public": {"n": 1}, "a": ["$(x)", "'"]}}"#;
        assert_eq!(
            env(settings)["METEOR_SETTINGS"],
            r#"{"public":{"n":1},"a":["$(x)","'"]}"#
        );
        let refused = refusal(&with(r#", "env": {"METEOR_SETTINGS": "{broken"}"#));
        assert!(refused.contains("METEOR_SETTINGS"), "{refused}");
    }

    #[test]
    fn hostile_options_are_refused() {
        for (extra, named) in [
            (r#", "env": []"#, "env option"),
            (r#", "autoDeploy": "yes""#, "autoDeploy option"),
            (r#", "env": {"": "x"}"#, "name of each environment variable"),
            (
                r#", "env": {"A=B": "x"}"#,
                "name of each environment variable",
            ),
            (r#", "env": {"A": {"b": 1}}"#, "environment variable A"),
            (r#", "env": {"A": "\u0000"}"#, "environment variable A"),
            (r#", "env": {"PORT": "0"}"#, "environment variable PORT"),
            (r#", "env": {"PORT": "http"}"#, "environment variable PORT"),
            (r#", "config": 5"#, "config option, it must be an object"),
            (r#", "config": {"Env": ["PORT=0"]}"#, "variable PORT"),
            (
                r#", "config": {"HostConfig": {"Privileged": true}}"#,
                "In the config option, only administrators may set HostConfig.Privileged",
            ),
            (r#", "hostname": "a b""#, "Invalid hostname"),
            (r#", "hostname": """#, "hostname option"),
            (r#", "hostname": 5"#, "hostname option"),
            (r#", "host": "a b""#, "host option"),
            (r#", "email": ["a"]"#, "email option"),
            (r#", "rootUrl": "file:///etc""#, "rootUrl option"),
        ] {
            let refused = refusal(&with(extra));
            assert!(refused.contains(named), "{extra}: {refused}");
        }
        let long = format!(r#", "env": {{"A": "{}"}}"#, "x".repeat(MAX_VARIABLE));
        assert!(refusal(&with(&long)).contains("at most"));
    }
}
