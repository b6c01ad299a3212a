//! The environment variables of an app, and what of them may be shown.

use indexmap::IndexMap;
use serde_json::Value;

/// Variables in the order in which they were given.
pub type Environment = IndexMap<String, String>;

/// What stands in place of a secret.
pub const MASK: &str = "********";

/// What the name of a secret variable says. `PASS` covers password, passwd and passphrase.
const SECRET_WORDS: [&str; 7] = [
    "PASS",
    "PWD",
    "SECRET",
    "TOKEN",
    "KEY",
    "CREDENTIAL",
    "PRIVATE",
];

/// A copy that may be published: variables whose name says that they are secret, passwords inside
/// URLs, and all of `METEOR_SETTINGS` outside `public` are replaced by [`MASK`].
#[must_use]
pub fn masked(env: &Environment) -> Environment {
    env.iter()
        .map(|(name, value)| (name.clone(), masked_value(name, value)))
        .collect()
}

/// The publishable form of one variable's value.
#[must_use]
pub fn masked_value(name: &str, value: &str) -> String {
    if value.is_empty() {
        String::new()
    } else if name == "METEOR_SETTINGS" {
        masked_settings(value)
    } else if is_secret_name(name) {
        MASK.to_owned()
    } else {
        masked_text(value)
    }
}

/// The publishable form of a command's words. A word after an option whose name says that it is secret
/// is taken for its value.
#[must_use]
pub fn masked_command(words: &[String]) -> Vec<String> {
    let mut option = "";
    let masked = words.iter().map(|word| {
        let named = masked_value(option, word);
        option = match word.strip_prefix('-') {
            Some(name) if !name.contains('=') => name,
            _ => "",
        };
        named
    });
    masked.collect()
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

fn masked_settings(json: &str) -> String {
    let Ok(Value::Object(mut settings)) = serde_json::from_str(json) else {
        return MASK.to_owned();
    };
    for (key, value) in &mut settings {
        if key != "public" {
            *value = MASK.into();
        }
    }
    Value::Object(settings).to_string()
}

/// Hides what is secret in a URL, a connection string or anything else that is written like one.
fn masked_text(value: &str) -> String {
    let (scheme, rest) = match value.find("://") {
        Some(i) => value.split_at(i + 3),
        None => ("", value),
    };
    let is_web = scheme.ends_with("http://") || scheme.ends_with("https://");
    format!("{scheme}{}", masked_pairs(&masked_userinfo(rest, is_web)))
}

/// Hides the password of `user:password@host`. It may hold unescaped `/` and `@`, so it reaches to
/// the last `@`. What stands alone before the `@` of a web address is a token.
fn masked_userinfo(rest: &str, is_web: bool) -> String {
    let Some((userinfo, host)) = rest.rfind('@').map(|at| rest.split_at(at)) else {
        return rest.to_owned();
    };
    match userinfo.split_once(':') {
        Some((user, _)) => format!("{user}:{MASK}{host}"),
        None if is_web && !userinfo.contains('/') => format!("{MASK}{host}"),
        None => rest.to_owned(),
    }
}

/// Hides the values of pairs such as `password=x` and `properties=SESSION_TOKEN:x`.
fn masked_pairs(text: &str) -> String {
    let pieces = text.split_inclusive([' ', ';', '&', '?', ',', '\n', '\t']);
    pieces.map(masked_pair).collect()
}

fn masked_pair(piece: &str) -> String {
    let pair = piece.trim_end_matches([' ', ';', '&', '?', ',', '\n', '\t']);
    match pair.split_once('=') {
        Some((key, value)) if is_secret_name(key) || is_secret_name(value) => {
            format!("{key}={MASK}{}", &piece[pair.len()..])
        }
        _ => piece.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_hidden_whatever_characters_they_have() {
        let cases = [
            (
                "mongodb://app:s3cret@db:27017/app",
                "mongodb://app:********@db:27017/app",
            ),
            (
                "mongodb://app:s3/c@ret@a,b,c/app?replicaSet=r",
                "mongodb://app:********@a,b,c/app?replicaSet=r",
            ),
            ("smtp://u%40x:p@mail:587", "smtp://u%40x:********@mail:587"),
            ("redis://:pw@r:6379", "redis://:********@r:6379"),
            (
                "https://x.test/?access_token=abc&a=1",
                "https://x.test/?access_token=********&a=1",
            ),
            ("mongodb://db/app", "mongodb://db/app"),
            (
                "mongodb://db/?authMechanismProperties=AWS_SESSION_TOKEN:x",
                "mongodb://db/?authMechanismProperties=********",
            ),
            ("https://tok@x.test/a", "https://********@x.test/a"),
            ("u:p@db:27017/app", "u:********@db:27017/app"),
            (
                "host=db password=s5 dbname=a",
                "host=db password=******** dbname=a",
            ),
            (
                "Server=db;Pwd=s5;Database=a",
                "Server=db;Pwd=********;Database=a",
            ),
            ("mongodb://user@db/app", "mongodb://user@db/app"),
            ("plain text", "plain text"),
        ];
        for (value, shown) in cases {
            assert_eq!(masked_value("MONGO_URL", value), shown);
        }
    }

    #[test]
    fn the_value_of_a_secret_option_is_hidden() {
        let words = ["mysql", "--password", "hunter2", "--user", "me", "-v"];
        let shown = masked_command(&words.map(str::to_owned));
        assert_eq!(shown, ["mysql", "--password", MASK, "--user", "me", "-v"]);
    }

    #[test]
    fn names_that_say_secret_hide_the_whole_value() {
        for name in [
            "DB_PASSWORD",
            "DB_PASS",
            "MYSQL_PWD",
            "aws_secret_access",
            "GITHUB_TOKEN",
            "ApiKey",
        ] {
            assert_eq!(masked_value(name, "x"), MASK, "{name}");
        }
        assert_eq!(masked_value("ROOT_URL", "http://a.test"), "http://a.test");
    }

    #[test]
    fn of_the_settings_only_the_public_part_is_shown() {
        let settings = r#"{"public":{"title":"T"},"stripe":{"sk":"x"}}"#;
        let shown = masked_value("METEOR_SETTINGS", settings);
        assert_eq!(shown, r#"{"public":{"title":"T"},"stripe":"********"}"#);
        assert_eq!(masked_value("METEOR_SETTINGS", "not json"), MASK);
    }
}
